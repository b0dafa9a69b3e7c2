import { usePromise } from "@raycast/utils";
import { choiceOf } from "../../hooks/share-choice";
import { TorbizError } from "../../lib/errors";
import { knownModels } from "../../lib/hub/known-models";
import { lastChoice } from "../../lib/sharing/last-choice";
import { whyEnded } from "../../lib/sharing/why-ended";
import { ChooseScreen } from "./choose-screen";
import type { Controls } from "./controls";
import { FailureRow } from "./failure-row";
import type { Live } from "./live-rows";

/** A share that ended without being stopped: why, and what can be shared instead. */
export function EndedScreen({ ended, controls }: { ended: Live; controls: Controls }) {
  const { context, containerId, image, status } = ended;
  const { sharing } = controls;
  const { data: why } = usePromise((id: string) => whyEnded(context, id), [containerId], {
    // Its log can't be read: then the status has to do.
    onError: () => undefined,
  });
  const { model, swarm } = status;
  const last = lastChoice(context);
  // The file knows more of it than the labels: which blocks, and how it was opened to others.
  const kept = last?.model === model && last?.swarm === swarm ? last : { model, swarm };
  const again = choiceOf(kept, knownModels(context.paths));
  return (
    <>
      <FailureRow
        context={context}
        image={image}
        controls={controls}
        error={why ?? new TorbizError("share-failed", status.message ?? "The server ended.")}
        containerId={containerId}
        again={again}
        onClear={() => sharing.stop(context)}
      />
      <ChooseScreen context={context} image={image} controls={controls} />
    </>
  );
}
