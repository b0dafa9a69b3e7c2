import { toTorbizError } from "../../lib/errors";

/** What is wrong with the text of a field, as its reader says; undefined for one that can be read. */
export function whyNot(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return toTorbizError(error).message;
  }
}
