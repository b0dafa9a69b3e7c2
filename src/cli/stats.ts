import { openEngine } from "../lib/context";
import { toTorbizError } from "../lib/errors";
import {
  contributionCsv,
  contributionTotals,
  keepContribution,
  readContribution,
  type ContributedDay,
} from "../lib/sharing/contribution";
import { readStatus } from "../lib/sharing/status";
import type { Session } from "./session";
import { table } from "./table";

/** `torbiz stats`: what this computer gave, by day; without an engine, as far as it was copied before. */
export async function runStats({ output, surroundings }: Session, { csv }: { csv: boolean }): Promise<void> {
  try {
    const context = await openEngine(surroundings);
    const container = await context.engine.inspect(context.names.container);
    if (container && readStatus(container).state !== "foreign") await keepContribution(context, container.Id);
  } catch (error) {
    output.note(`What was served since the last look isn't counted here: ${toTorbizError(error).message}`);
  }
  const days = readContribution(surroundings);
  const totals = contributionTotals(days);
  const rows = [
    ["", "Sessions", "Tokens", "Hours online", "Block hours"],
    ["Today", ...cells(totals.today)],
    ["7 days", ...cells(totals.week)],
    ["All", ...cells(totals.all)],
  ];
  output.result({ ...totals, days }, csv ? contributionCsv(days).trimEnd() : table(rows));
}

function cells({ sessions, tokens, onlineSeconds, blockSeconds }: ContributedDay): string[] {
  return [String(sessions), String(tokens), (onlineSeconds / 3_600).toFixed(1), (blockSeconds / 3_600).toFixed(1)];
}
