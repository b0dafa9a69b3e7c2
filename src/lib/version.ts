/** Torbiz's version: the same as in package.json and in the Python package, held together by a test. */
export const VERSION = "0.1.0";

/** The version of Petals in the image and in the swarm's environment: python/requirements/petals.in, held together by a test. */
export const PETALS_VERSION = "2.2.0.post1";
