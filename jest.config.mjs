/** ESM all the way: execa is an ES module only. Jest itself must run under `node --experimental-vm-modules` (see package.json). */
const shared = {
  testEnvironment: "node",
  // Built copies of the checkout: their package.json has the same name.
  modulePathIgnorePatterns: ["<rootDir>/dist/", "<rootDir>/assets/runtime/", "<rootDir>/test-results/"],
  extensionsToTreatAsEsm: [".ts", ".tsx"],
  transform: { "\\.tsx?$": ["ts-jest", { useESM: true, tsconfig: "<rootDir>/test/tsconfig.json" }] },
};

/** @type {import("jest").Config} */
export default {
  projects: [
    { ...shared, displayName: "unit", testMatch: ["<rootDir>/test/unit/**/*.test.{ts,tsx}"] },
    { ...shared, displayName: "host", testMatch: ["<rootDir>/test/host/**/*.test.ts"] },
    // Real builds and real swarms: minutes each, so npm's script runs them one after the other and with a long limit.
    { ...shared, displayName: "e2e", testMatch: ["<rootDir>/test/e2e/**/!(*faults|image*).test.ts"] },
    // By BuildKit, and all others by the classic builder: scripts/test.ts sees to both.
    { ...shared, displayName: "build", testMatch: ["<rootDir>/test/e2e/image*.test.ts"] },
    // Those that need nothing of this machine's engine but its images.
    { ...shared, displayName: "faults", testMatch: ["<rootDir>/test/e2e/**/!(image)-faults.test.ts"] },
  ],
};
