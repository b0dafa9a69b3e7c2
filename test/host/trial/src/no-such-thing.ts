// @ts-expect-error: nothing has this name.
import { NoSuchThing } from "@raycast/api";

export function readNoSuchThing(): unknown {
  return NoSuchThing;
}
