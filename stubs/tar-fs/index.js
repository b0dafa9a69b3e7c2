// Only dockerode's build API packs a folder with this package; Torbiz builds with the docker CLI, so it is left out of the bundle.
module.exports = {};
