import { isEmulated } from "../../../scripts/arm64/binfmt";

/** As Debian 12 registers it (qemu-user-static 7.2, binfmt-support 2.2.2). */
const entry = (state: string, flags: string) =>
  `${state}\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: ${flags}\noffset 0\n` +
  "magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

it("takes an emulator that containers have too", () => {
  expect(isEmulated(entry("enabled", "PF"))).toBe(true);
  expect(isEmulated(entry("enabled", "OCF"))).toBe(true);
});

it("takes none that is off, that only this system finds, or that isn't there", () => {
  expect(isEmulated(entry("disabled", "PF"))).toBe(false);
  expect(isEmulated(entry("enabled", "P"))).toBe(false);
  expect(isEmulated("")).toBe(false);
});
