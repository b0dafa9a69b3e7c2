import { usePromise } from "@raycast/utils";
import { toTorbizError, TorbizError } from "../../lib/errors";
import { defaultModel, MODELS } from "../../lib/models";
import { parseSwarmText } from "../../lib/sharing/swarm";
import { whyEnded } from "../../lib/sharing/why-ended";
import { ChooseScreen } from "./choose-screen";
import type { Controls } from "./controls";
import { FailureRow } from "./failure-row";
import type { Live } from "./live-rows";

/** A share that ended without being stopped: why, and what can be shared instead. */
export function EndedScreen({ ended, controls }: { ended: Live; controls: Controls }) {
  const { context, containerId, image, status } = ended;
  const { sharing } = controls;
  const { data: why } = usePromise((id: string) => whyEnded(context, id).catch(toTorbizError), [containerId]);
  const retry = () => {
    const model = MODELS.find(({ id }) => id === status.model) ?? defaultModel;
    return sharing.share(context, { model, ...(status.swarm && { swarm: parseSwarmText(status.swarm) }) });
  };
  return (
    <>
      <FailureRow
        context={context}
        image={image}
        controls={controls}
        error={why ?? new TorbizError("share-failed", status.message ?? "The server ended.")}
        containerId={containerId}
        onRetry={retry}
        onClear={() => sharing.stop(context)}
      />
      <ChooseScreen context={context} image={image} controls={controls} />
    </>
  );
}
