import type { BuildJobs } from "../../hooks/use-build-jobs";
import type { ShareJobs } from "../../hooks/use-share-jobs";
import type { Model } from "../../lib/models";
import type { UseStartDocker } from "../../hooks/use-start-docker";

/** What the screens of Share GPU can do; the root makes it once and passes it down. */
export interface Controls {
  /** Looks at once at what is shared now. */
  refresh: () => Promise<void>;
  /** Begins anew with another engine. */
  restart: () => void;
  docker: UseStartDocker;
  build: BuildJobs;
  sharing: ShareJobs;
  /** The model that is shared by itself as soon as there is an image. */
  wish?: Model;
}
