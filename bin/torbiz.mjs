#!/usr/bin/env node
import { bundle } from "./bundle.mjs";

let command = "../src/cli.ts";
try {
  command = await bundle();
} catch (error) {
  // A checkout that can't be written, say: its sources take longer, and do the same.
  if (error?.syscall === undefined) throw error;
  const { register } = await import("tsx/esm/api");
  register();
}
await import(command);
