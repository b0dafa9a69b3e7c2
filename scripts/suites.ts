/**
 * The suites of `npm test`: lanes run side by side, as each waits for others half of its time; a lane's suites one after the
 * other.
 */
export const LANES = [["static", "build", "faults", "unit"], ["python"], ["host"], ["e2e"]] as const;

export const SUITES = LANES.flat();
export type SuiteName = (typeof SUITES)[number];
