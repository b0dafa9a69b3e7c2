import { allPassed, brokenSuite, closingLine, countJestReport, countJunitReport } from "../../../scripts/test-report";

const jestFile = (status: string, ...tests: [status: string, fullName: string][]) => ({
  name: "/checkout/test/unit/a.test.ts",
  status,
  assertionResults: tests.map(([result, fullName]) => ({ status: result, fullName })),
});
const jest = (passed: number, ...testResults: ReturnType<typeof jestFile>[]) =>
  countJestReport("unit", JSON.stringify({ numPassedTests: passed, testResults }));

describe("countJestReport", () => {
  it("counts what passed and names what failed", () => {
    expect(jest(1, jestFile("failed", ["passed", "adds"], ["failed", "takes away"]))).toEqual({
      name: "unit",
      passed: 1,
      failed: 1,
      failures: ["takes away"],
    });
  });

  it("counts a file that couldn't be run as a failure", () => {
    const result = jest(1, jestFile("passed", ["passed", "adds"]), jestFile("failed"));
    expect(result).toMatchObject({ passed: 1, failed: 1, failures: ["/checkout/test/unit/a.test.ts couldn't be run"] });
  });

  it("lets no test be skipped", () => {
    const result = jest(1, jestFile("passed", ["passed", "adds"], ["pending", "divides"], ["todo", "roots"]));
    expect(result).toMatchObject({ passed: 1, failed: 2, failures: ["divides (pending)", "roots (todo)"] });
  });

  it("takes no test at all for a failure", () => {
    expect(jest(0)).toMatchObject({ passed: 0, failed: 1, failures: ["no test was run"] });
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
        '<testcase classname="tests.test_a" name="test_two[a&gt;b]" time="0.1"><failure message="assert 1 == 2">def ...\n</failure></testcase>' +
        '<testcase classname="" name="tests.test_b" time="0.000"><error message="collection failure">ImportError</error></testcase>' +
        '<testcase classname="tests.test_a" name="test_four" time="0.1"><skipped message="no" /></testcase>' +
        '<testcase classname="tests.test_a" name="test_five" time="0.1"><system-out>failure error</system-out></testcase>',
    );
    expect(result).toEqual({
      name: "python",
      passed: 2,
      failed: 3,
      failures: ["tests.test_a test_two[a&gt;b]", "tests.test_b", "tests.test_a test_four"],
    });
  });

  it("takes no test at all, and what is no report, for failures", () => {
    expect(junit("")).toMatchObject({ failed: 1, failures: ["no test was run"] });
    expect(() => countJunitReport("python", "Segmentation fault")).toThrow("JUnit");
  });
});

describe("the closing line", () => {
  const good = { name: "unit", passed: 3, failed: 0, failures: [] };

  it("adds all suites up", () => {
    const results = [
      good,
      { name: "e2e", passed: 2, failed: 1, failures: ["stops"] },
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
