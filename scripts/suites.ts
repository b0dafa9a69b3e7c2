/**
 * The suites of `npm test`: lanes run side by side, as each waits for others half of its time; a lane's suites one after the
 * other.
 */
export const LANES = [["static", "build", "faults", "unit"], ["python"], ["host", "seeder"], ["e2e"]] as const;

/** Of the tests in Python those that are a suite of their own, so that no lane is much longer than the others. */
export const SEEDER_TESTS = "python/tests/test_seeder.py";

export const SUITES = LANES.flat();
export type SuiteName = (typeof SUITES)[number];
