// Only dockerode's build API reads a .dockerignore with this package; Torbiz builds with the docker CLI, so it is left out of the bundle.
module.exports = {};
