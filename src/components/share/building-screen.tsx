import { useBuildProgress } from "../../hooks/use-build-progress";
import type { Overview } from "../../lib/sharing/overview";
import type { Controls } from "./controls";
import { FirstSteps } from "./first-steps";

type Building = Extract<Overview, { screen: "building" }>;

/** A build that runs, whoever started it. */
export function BuildingScreen({ building, controls }: { building: Building; controls: Controls }) {
  const { context, build } = building;
  const progress = useBuildProgress(context, controls.refresh);
  return <FirstSteps context={context} controls={controls} running={{ startedAt: build.startedAt, progress }} />;
}
