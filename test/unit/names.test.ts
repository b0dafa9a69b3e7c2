import { DEFAULT_PORT, resolveNames } from "../../src/lib/names";

describe("resolveNames", () => {
  it("gives the names that people use by hand", () => {
    expect(resolveNames({})).toEqual({
      instance: "",
      container: "torbiz-petals-seeder",
      image: "torbiz-petals-macos:latest",
      volume: "torbiz-petals-cache",
      network: "torbiz-petals",
      port: DEFAULT_PORT,
    });
  });

  it("keeps instances apart, port included, and the same from run to run", () => {
    const one = resolveNames({ TORBIZ_INSTANCE: "one" });
    const two = resolveNames({ TORBIZ_INSTANCE: "two" });
    for (const key of ["container", "image", "volume", "network", "port"] as const) {
      expect(new Set([one[key], two[key], resolveNames({})[key]]).size).toBe(3);
    }
    expect(resolveNames({ TORBIZ_INSTANCE: "one" })).toEqual(one);
  });

  it.each(["Upper", "-dash", "a b", "x".repeat(25), "../up"])("refuses %j", (instance) => {
    expect(() => resolveNames({ TORBIZ_INSTANCE: instance })).toThrow(
      expect.objectContaining({ code: "instance-invalid" }),
    );
  });
});
