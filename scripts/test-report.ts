import { stripVTControlCharacters } from "node:util";

/** What one suite came to. */
export interface SuiteResult {
  name: string;
  passed: number;
  failed: number;
  failures: Failure[];
}

/** A test that failed. */
export interface Failure {
  /** One line. */
  what: string;
  /** What the test's program said of it, of any length; empty where it said nothing. */
  why: string;
}

/** So much of a failure's reason is told in the summary: the rest stands above, among what the suite printed. */
const REASON_LINES = 12;

/** The parts of Jest's `--json` report that count. */
interface JestReport {
  numPassedTests: number;
  testResults: {
    name: string;
    status: string;
    /** Why the file couldn't be run, among others. */
    message?: string;
    assertionResults: { status: string; fullName: string; failureMessages?: string[] | null }[];
  }[];
}

/**
 * Counts a Jest `--json` report. A test file that couldn't be run counts as a failure, and so does a test that was
 * skipped: nothing is left out on purpose.
 */
export function countJestReport(name: string, text: string): SuiteResult {
  const report = JSON.parse(text) as JestReport;
  const failures: Failure[] = [];
  for (const file of report.testResults) {
    const bad = file.assertionResults.filter(({ status }) => status !== "passed");
    failures.push(
      ...bad.map(({ status, fullName, failureMessages }) => ({
        what: status === "failed" ? fullName : `${fullName} (${status})`,
        why: (failureMessages ?? []).join("\n"),
      })),
    );
    if (file.status === "failed" && bad.length === 0) {
      failures.push({ what: `${file.name} couldn't be run`, why: file.message ?? "" });
    }
  }
  return finish({ name, passed: report.numPassedTests, failed: failures.length, failures });
}

/** Counts a JUnit report of pytest. Errors (a file that can't be imported, a broken fixture) and skipped tests count as failures. */
export function countJunitReport(name: string, text: string): SuiteResult {
  const cases = [...text.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)];
  if (!/<testsuites?\b/.test(text)) throw new Error("the report isn't JUnit XML");
  const failures: Failure[] = [];
  for (const [, attributes = "", body = ""] of cases) {
    const bad = /<(?:failure|error|skipped)\b(?:[^>]*?\bmessage="([^"]*)")?/.exec(body);
    if (!bad) continue;
    const test = /\bname="([^"]*)"/.exec(attributes)?.[1] ?? "a test";
    const group = /\bclassname="([^"]*)"/.exec(attributes)?.[1];
    failures.push({ what: unescapeXml(group ? `${group} ${test}` : test), why: unescapeXml(bad[1] ?? "") });
  }
  return finish({ name, passed: cases.length - failures.length, failed: failures.length, failures });
}

const XML_ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescapeXml(text: string): string {
  return text.replaceAll(/&(?:#(\d+)|(\w+));/g, (whole, code?: string, name = "") =>
    code ? String.fromCodePoint(Number(code)) : (XML_ENTITIES[name] ?? whole),
  );
}

/** A suite that couldn't start, or left no report that can be read. */
export function brokenSuite(name: string, what: string, why = ""): SuiteResult {
  return { name, passed: 0, failed: 1, failures: [{ what, why }] };
}

/**
 * What a suite came to, in lines: each failure with its reason, as the end of a long run's output is often all of it that is
 * kept.
 */
export function summaryLines({ name, passed, failed, failures }: SuiteResult, seconds: string): string[] {
  return [`${name}: ${passed} passed, ${failed} failed (${seconds} s)`, ...failures.flatMap(failureLines)];
}

function failureLines({ what, why }: Failure): string[] {
  const reason = stripVTControlCharacters(why)
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^\s+at .*(node_modules|node:internal)/.test(line));
  const more = reason.length - REASON_LINES;
  return [
    `  failed: ${what}`,
    ...reason.slice(0, REASON_LINES).map((line) => `    ${line}`),
    ...(more > 0 ? [`    … and ${more} lines more`] : []),
  ];
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
