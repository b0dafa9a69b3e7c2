// Only BuildKit sessions of dockerode use this package; Torbiz builds with the docker CLI, so it is left out of the bundle.
module.exports = {};
