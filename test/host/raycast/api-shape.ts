import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import ts from "typescript";

/** What exists at run time under one name of @raycast/api. */
export interface Shape {
  kind: "enum" | "component" | "class" | "function" | "object" | "value";
  /** Of an enum: Raycast's own values. */
  values?: Record<string, string | number>;
  /** Of a literal. */
  value?: unknown;
  members?: Record<string, Shape>;
}

export interface ApiShape {
  version: string;
  exports: Record<string, Shape>;
}

/** What every function and component has and what isn't Raycast's. */
const BUILT_IN = new Set([
  ...["prototype", "length", "name", "apply", "call", "bind", "toString", "arguments", "caller"],
  ...["propTypes", "contextTypes", "defaultProps", "displayName", "$$typeof"],
]);
const DEEPEST = 6;

/** Reads from the types of the real package what exists at run time, so that a new version is only a new reading. */
export function readApiShape(packageFolder: string): ApiShape {
  const file = join(packageFolder, "types", "index.d.ts");
  const program = ts.createProgram([file], {
    skipLibCheck: true,
    types: ["node", "react"],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.CommonJS,
  });
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(file);
  const module = source && checker.getSymbolAtLocation(source);
  if (!source || !module) throw new Error(`${file} holds no types`);
  const real = (symbol: ts.Symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
  const existsAtRunTime = (symbol: ts.Symbol) => Boolean(real(symbol).flags & ts.SymbolFlags.Value);

  function describe(symbol: ts.Symbol, depth: number): Shape {
    if (symbol.flags & ts.SymbolFlags.Enum) return { kind: "enum", values: enumValues(symbol) };
    const type = checker.getTypeOfSymbolAtLocation(symbol, source!);
    if (type.symbol && type.symbol !== symbol && type.symbol.flags & ts.SymbolFlags.Enum) {
      return describe(type.symbol, depth);
    }
    const kind = kindOf(symbol, type, depth);
    if (kind === "value") return type.isLiteral() ? { kind, value: type.value } : { kind };
    const members: Record<string, Shape> = {};
    for (const member of depth < DEEPEST ? type.getProperties() : []) {
      if (BUILT_IN.has(member.name) || member.name.startsWith("__@") || !existsAtRunTime(member)) continue;
      members[member.name] = describe(real(member), depth + 1);
    }
    return Object.keys(members).length > 0 ? { kind, members } : { kind };
  }

  function enumValues(symbol: ts.Symbol): Record<string, string | number> {
    const values: Record<string, string | number> = {};
    for (const [name, member] of symbol.exports ?? []) {
      const declaration = member.valueDeclaration;
      const value = declaration && ts.isEnumMember(declaration) ? checker.getConstantValue(declaration) : undefined;
      if (value !== undefined) values[String(name)] = value;
    }
    return values;
  }

  function kindOf(symbol: ts.Symbol, type: ts.Type, depth: number): Shape["kind"] {
    const text = checker.typeToString(type, undefined, ts.TypeFormatFlags.NoTruncation);
    const [call] = type.getCallSignatures();
    if (type.getConstructSignatures().length > 0) return "class";
    if (call) {
      const renders =
        /ReactNode|ReactElement|Element \| null/.test(checker.typeToString(call.getReturnType())) ||
        /FunctionComponent|ExoticComponent/.test(text) ||
        (depth > 0 && /^[A-Z]/.test(symbol.name));
      return renders ? "component" : "function";
    }
    const isModule = symbol.flags & (ts.SymbolFlags.NamespaceModule | ts.SymbolFlags.ValueModule);
    const isObject = depth < 3 && type.flags & ts.TypeFlags.Object && /^typeof|Members|\{/.test(text);
    return isModule || isObject ? "object" : "value";
  }

  const { version } = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8")) as { version: string };
  const exports: Record<string, Shape> = {};
  for (const symbol of checker.getExportsOfModule(module).filter(existsAtRunTime)) {
    exports[symbol.name] = describe(real(symbol), 0);
  }
  return { version, exports };
}

// A program of its own (`runner-files.ts` runs it): the compiler is slow to load, and needed once a version.
const [packageFolder, file] = process.argv.slice(2);
if (packageFolder && file && !existsSync(file)) {
  mkdirSync(dirname(file), { recursive: true });
  const half = `${file}.${process.pid}`;
  writeFileSync(half, JSON.stringify(readApiShape(packageFolder)));
  renameSync(half, file);
}
