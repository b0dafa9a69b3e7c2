import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { CommandMode } from "./protocol";

interface Preference {
  name: string;
  title?: string;
  type: string;
  required?: boolean;
  default?: unknown;
}

interface Argument {
  name: string;
  required?: boolean;
}

export interface ManifestCommand {
  name: string;
  title: string;
  mode: CommandMode;
  preferences?: Preference[];
  arguments?: Argument[];
  disabledByDefault?: boolean;
}

/** The parts of an extension's package.json that a launch needs. */
export interface Manifest {
  name: string;
  author: string;
  owner?: string;
  commands: ManifestCommand[];
  preferences?: Preference[];
}

export function readManifest(extension: string): Manifest {
  return JSON.parse(readFileSync(join(extension, "package.json"), "utf8")) as Manifest;
}

export function findCommand(manifest: Manifest, name: string): ManifestCommand {
  const command = manifest.commands.find((one) => one.name === name);
  if (!command) throw new Error(`The extension "${manifest.name}" has no command "${name}".`);
  return command;
}

/** What the user set, else the manifest's defaults. Raycast asks for a required one before it runs a command. */
export function preferencesOf(
  manifest: Manifest,
  command: ManifestCommand,
  set: Record<string, unknown>,
): Record<string, unknown> {
  const declared = [...(manifest.preferences ?? []), ...(command.preferences ?? [])];
  const values: Record<string, unknown> = {};
  for (const { name, type, required, default: usual } of declared) {
    const value = set[name] ?? defaultOf(usual) ?? (type === "checkbox" ? false : undefined);
    if (required && (value ?? "") === "") throw new Error(`The preference "${name}" is required and not set.`);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

/** A default may be one for each platform. */
function defaultOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "macOS" in value ? value.macOS : value;
}

/** All arguments of a command; what isn't given is "". */
export function argumentsOf(command: ManifestCommand, given: Record<string, string>): Record<string, string> {
  const declared = command.arguments ?? [];
  const unknown = Object.keys(given).find((name) => !declared.some((one) => one.name === name));
  if (unknown) throw new Error(`The command "${command.name}" has no argument "${unknown}".`);
  const values: Record<string, string> = {};
  for (const { name, required } of declared) {
    values[name] = given[name] ?? "";
    if (required && values[name] === "") throw new Error(`The argument "${name}" is required and not given.`);
  }
  return values;
}
