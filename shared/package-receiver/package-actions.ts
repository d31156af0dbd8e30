import type { JobAction } from '../domain/distribution-job.ts';
import { WaybillError } from '../domain/errors.ts';
import type { PackageVersion } from '../domain/package.ts';
import { keySpaces } from '../state-store/key-space.ts';
import type { StateStore } from '../state-store/state-store.ts';

/** Names one job of the site for one package: `package_action` of the wire, checked. */
export interface PackageAction {
  readonly packageId: string;
  readonly jobSerial: number;
}

/** An action that has begun and not ended. */
export interface BegunAction extends PackageAction {
  readonly version: PackageVersion;
  readonly redistribute: boolean;
}

/**
 * Fences late calls: for each package the newest job the site has begun here, durable, so that a
 * delayed call of a superseded job changes nothing, also after a restart.
 */
export class PackageActions {
  readonly #store: StateStore;
  readonly #begun = new Map<string, BegunAction>();

  constructor(store: StateStore) {
    this.#store = store;
  }

  /** @throws ACTION_SUPERSEDED when a newer job was seen */
  async admit(action: PackageAction, kind: JobAction): Promise<void> {
    const records = this.#store.records(keySpaces.packageActions);
    const newest = (await records.get(action.packageId))?.jobSerial ?? 0;
    if (action.jobSerial < newest) throw superseded(action, newest);
    if (action.jobSerial === newest) return;
    this.#begun.delete(action.packageId);
    const change = records.put(action.packageId, { jobSerial: action.jobSerial, action: kind });
    await this.#store.write([change], { sync: true });
  }

  /** Calls for an admitted action are answered from now on. */
  begin(action: BegunAction): void {
    this.#begun.set(action.packageId, action);
  }

  /** The action of a package that has begun and not ended. */
  begunFor(packageId: string): BegunAction | undefined {
    return this.#begun.get(packageId);
  }

  /** @throws ACTION_SUPERSEDED; ACTION_NOT_BEGUN when the agent was restarted since Begin */
  require(action: PackageAction): BegunAction {
    const begun = this.#begun.get(action.packageId);
    if (begun && begun.jobSerial > action.jobSerial) throw superseded(action, begun.jobSerial);
    if (begun?.jobSerial === action.jobSerial) return begun;
    const { packageId, jobSerial } = action;
    throw new WaybillError({ code: 'ACTION_NOT_BEGUN', packageId, jobSerial });
  }

  /** The action is done; a newer one goes on. */
  end(action: PackageAction): void {
    if (this.#begun.get(action.packageId)?.jobSerial === action.jobSerial) {
      this.#begun.delete(action.packageId);
    }
  }
}

function superseded(
  { packageId, jobSerial }: PackageAction,
  newestJobSerial: number,
): WaybillError {
  return new WaybillError({ code: 'ACTION_SUPERSEDED', packageId, jobSerial, newestJobSerial });
}
