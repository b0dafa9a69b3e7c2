/** Torbiz's version: the same as in package.json and in the Python package, held together by a test. */
export const VERSION = "0.1.0";
