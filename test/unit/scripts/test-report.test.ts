import {
  allPassed,
  brokenSuite,
  closingLine,
  countJestReport,
  countJunitReport,
  summaryLines,
} from "../../../scripts/test-report";

const jestFile = (status: string, ...tests: [status: string, fullName: string, ...failureMessages: string[]][]) => ({
  name: "/checkout/test/unit/a.test.ts",
  status,
  message: "Cannot find module",
  assertionResults: tests.map(([result, fullName, ...failureMessages]) => ({
    status: result,
    fullName,
    failureMessages,
  })),
});
const whats = (...names: string[]) => names.map((what) => expect.objectContaining({ what }));
const jest = (passed: number, ...testResults: ReturnType<typeof jestFile>[]) =>
  countJestReport("unit", JSON.stringify({ numPassedTests: passed, testResults }));

describe("countJestReport", () => {
  it("counts what passed and names what failed", () => {
    expect(jest(1, jestFile("failed", ["passed", "adds"], ["failed", "takes away", "not 1", "nor 2"]))).toEqual({
      name: "unit",
      passed: 1,
      failed: 1,
      failures: [{ what: "takes away", why: "not 1\nnor 2" }],
    });
  });

  it("counts a file that couldn't be run as a failure", () => {
    const result = jest(1, jestFile("passed", ["passed", "adds"]), jestFile("failed"));
    const failures = [{ what: "/checkout/test/unit/a.test.ts couldn't be run", why: "Cannot find module" }];
    expect(result).toMatchObject({ passed: 1, failed: 1, failures });
  });

  it("lets no test be skipped", () => {
    const result = jest(1, jestFile("passed", ["passed", "adds"], ["pending", "divides"], ["todo", "roots"]));
    expect(result).toMatchObject({ passed: 1, failed: 2, failures: whats("divides (pending)", "roots (todo)") });
  });

  it("takes no test at all for a failure", () => {
    expect(jest(0)).toMatchObject({ passed: 0, failed: 1, failures: whats("no test was run") });
  });
});

describe("countJunitReport", () => {
  const junit = (body: string) =>
    countJunitReport(
      "python",
      `<?xml version="1.0"?><testsuites><testsuite name="pytest">${body}</testsuite></testsuites>`,
    );

  it("counts passed, failed, broken and skipped tests as pytest reports them", () => {
    const result = junit(
      '<testcase classname="tests.test_a" name="test_one" time="0.001" />' +
        '<testcase classname="tests.test_a" name="test_two[a&gt;b]" time="0.1"><failure message="assert 1 == 2&#10; &apos;a&apos; &lt;&amp;">def ...\n</failure></testcase>' +
        '<testcase classname="" name="tests.test_b" time="0.000"><error message="collection failure">ImportError</error></testcase>' +
        '<testcase classname="tests.test_a" name="test_four" time="0.1"><skipped message="no" /></testcase>' +
        '<testcase classname="tests.test_a" name="test_five" time="0.1"><system-out>failure error</system-out></testcase>',
    );
    expect(result).toEqual({
      name: "python",
      passed: 2,
      failed: 3,
      failures: [
        { what: "tests.test_a test_two[a>b]", why: "assert 1 == 2\n 'a' <&" },
        { what: "tests.test_b", why: "collection failure" },
        { what: "tests.test_a test_four", why: "no" },
      ],
    });
  });

  it("takes no test at all, and what is no report, for failures", () => {
    expect(junit("")).toMatchObject({ failed: 1, failures: whats("no test was run") });
    expect(() => countJunitReport("python", "Segmentation fault")).toThrow("JUnit");
  });
});

describe("the summary", () => {
  it("tells each failure with its reason, without colours and the runner's own frames", () => {
    const why =
      "\u001b[31mError: not 1\u001b[39m\n\n    at test/a.ts:1:2\n    at run (/checkout/node_modules/jest/b.js:1:2)";
    const result = { name: "unit", passed: 3, failed: 1, failures: [{ what: "adds", why }] };
    expect(summaryLines(result, "1.5")).toEqual([
      "unit: 3 passed, 1 failed (1.5 s)",
      "  failed: adds",
      "    Error: not 1",
      "        at test/a.ts:1:2",
    ]);
  });

  it("cuts a long reason, and says so", () => {
    const lines = Array.from({ length: 40 }, (_, index) => `line ${index}`);
    const told = summaryLines(brokenSuite("python", "it broke", lines.join("\n")), "0.1");
    expect(told).toHaveLength(2 + 12 + 1);
    expect(told.at(-1)).toBe("    … and 28 lines more");
  });
});

describe("the closing line", () => {
  const good = { name: "unit", passed: 3, failed: 0, failures: [] };

  it("adds all suites up", () => {
    const results = [
      good,
      { name: "e2e", passed: 2, failed: 1, failures: [{ what: "stops", why: "" }] },
      brokenSuite("python", "no Python"),
    ];
    expect(closingLine(results)).toBe("5 passed, 2 failed");
    expect(allPassed(results)).toBe(false);
  });

  it("is good only when tests ran and none failed", () => {
    expect(allPassed([good])).toBe(true);
    expect(allPassed([])).toBe(false);
    expect(allPassed([{ ...good, passed: 0 }])).toBe(false);
  });
});
