/**
 * Whether the kernel runs another processor's programs by an emulator, in containers too.
 *
 * @param entry what a file of /proc/sys/fs/binfmt_misc says; its form is the kernel's (Documentation/admin-guide/binfmt-misc.rst)
 */
export function isEmulated(entry: string): boolean {
  // F: the emulator was opened when it was registered. Without it, it would be looked for in each container's own files.
  return /^enabled$/m.test(entry) && /^flags:.*F/m.test(entry);
}
