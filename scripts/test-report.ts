/** What one suite came to. */
export interface SuiteResult {
  name: string;
  passed: number;
  failed: number;
  /** One line for each failure. */
  failures: string[];
}

/** The parts of Jest's `--json` report that count. */
interface JestReport {
  numPassedTests: number;
  testResults: {
    name: string;
    status: string;
    assertionResults: { status: string; fullName: string }[];
  }[];
}

/**
 * Counts a Jest `--json` report. A test file that couldn't be run counts as a failure, and so does a test that was
 * skipped: nothing is left out on purpose.
 */
export function countJestReport(name: string, text: string): SuiteResult {
  const report = JSON.parse(text) as JestReport;
  const failures: string[] = [];
  for (const file of report.testResults) {
    const bad = file.assertionResults.filter(({ status }) => status !== "passed");
    failures.push(...bad.map(({ status, fullName }) => (status === "failed" ? fullName : `${fullName} (${status})`)));
    if (file.status === "failed" && bad.length === 0) failures.push(`${file.name} couldn't be run`);
  }
  return finish({ name, passed: report.numPassedTests, failed: failures.length, failures });
}

/** Counts a JUnit report of pytest. Errors (a file that can't be imported, a broken fixture) and skipped tests count as failures. */
export function countJunitReport(name: string, text: string): SuiteResult {
  const cases = [...text.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)];
  if (!/<testsuites?\b/.test(text)) throw new Error("the report isn't JUnit XML");
  const failures: string[] = [];
  for (const [, attributes = "", body = ""] of cases) {
    if (!/<(failure|error|skipped)\b/.test(body)) continue;
    const test = /\bname="([^"]*)"/.exec(attributes)?.[1] ?? "a test";
    const group = /\bclassname="([^"]*)"/.exec(attributes)?.[1];
    failures.push(group ? `${group} ${test}` : test);
  }
  return finish({ name, passed: cases.length - failures.length, failed: failures.length, failures });
}

/** A suite that couldn't start, or left no report that can be read. */
export function brokenSuite(name: string, reason: string): SuiteResult {
  return { name, passed: 0, failed: 1, failures: [reason] };
}

/** A suite without a single test proves nothing. */
function finish(result: SuiteResult): SuiteResult {
  return result.passed + result.failed === 0 ? brokenSuite(result.name, "no test was run") : result;
}

/** The line that ends a test run: all suites together. */
export function closingLine(results: readonly SuiteResult[]): string {
  const sum = (key: "passed" | "failed") => results.reduce((total, result) => total + result[key], 0);
  return `${sum("passed")} passed, ${sum("failed")} failed`;
}

/** Whether the run as a whole is good: tests ran, and none failed. */
export function allPassed(results: readonly SuiteResult[]): boolean {
  return results.some(({ passed }) => passed > 0) && results.every(({ failed }) => failed === 0);
}
