import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { DistributionPointPackage } from '../../shared/rpc/generated/waybill/v1/DistributionPointPackage.ts';
import type { DistributionPointSweep } from '../../shared/rpc/generated/waybill/v1/DistributionPointSweep.ts';
import type { SweepDistributionPointRequest__Output } from '../../shared/rpc/generated/waybill/v1/SweepDistributionPointRequest.ts';
import type { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type {
  DistributionPointChannel,
  DistributionPointConnections,
} from '../distribution-point-connections/distribution-point-connections.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import { AdminScopes } from './admin-scopes.ts';
import { requireOwnPoint } from './distribution-point-answers.ts';
import { requireDistributionPointId } from './package-requests.ts';

export interface DistributionPointLibrariesComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly packages: Pick<PackageStore, 'getServer' | 'turn'>;
  readonly connections: Pick<DistributionPointConnections, 'channelTo'>;
  readonly jobSerials: Pick<SerialCounter, 'next'>;
  readonly hierarchy: Pick<HierarchyManager, 'get' | 'requireAnywhere'>;
  readonly hierarchyPackages: Pick<HierarchyPackageRows, 'siteCode' | 'groups'>;
}

/** A DP may look through a million files. */
const sweepDeadlineMs = 1_800_000;
const listDeadlineMs = 60_000;

interface Target {
  readonly packageId: string;
  readonly dpId: string;
}

type Listed = Omit<DistributionPointPackage, 'packageId'> & { readonly packageId: string };

/** What administrators ask of the libraries of this site's DPs: the DPs themselves answer. */
export class DistributionPointLibraries {
  readonly #components: DistributionPointLibrariesComponents;
  readonly #scopes: AdminScopes;

  constructor(components: DistributionPointLibrariesComponents) {
    this.#components = components;
    this.#scopes = new AdminScopes(components);
  }

  methods() {
    return {
      listDistributionPointPackages: ({ dpId }, { signal }) => this.#list(dpId, signal),
      sweepDistributionPoint: (request, context) => this.#sweep(request, context),
    } satisfies Partial<Conversation<'Admin'>>;
  }

  async *#list(dpId: string, signal: AbortSignal): AsyncGenerator<Listed> {
    const point = await this.#require(dpId);
    yield* this.#listed(point, signal);
  }

  async *#listed(point: DistributionPoint, signal: AbortSignal): AsyncGenerator<Listed> {
    const { connections, packages } = this.#components;
    const options = { deadlineMs: listDeadlineMs, signal };
    for await (const one of connections
      .channelTo(point)
      .serverStream('listPackages', {}, options)) {
      const server = await packages.getServer(one.packageId, point.dpId);
      yield { ...one, isAssigned: server !== undefined };
    }
  }

  async #sweep(
    request: SweepDistributionPointRequest__Output,
    context: CallContext,
  ): Promise<DistributionPointSweep> {
    const { signal } = context;
    const point = await this.#require(request.dpId);
    await this.#scopes.checkOf(context)({ dpIds: [point.dpId] });
    const channel = this.#components.connections.channelTo(point);
    const call = { deadlineMs: sweepDeadlineMs, signal };
    const unassigned: string[] = [];
    for await (const { packageId, isAssigned } of this.#listed(point, signal)) {
      if (!isAssigned) unassigned.push(packageId);
    }
    const before = await channel.unary('sweepLibrary', { dryRun: true }, call);
    const found = { before, unassignedPackages: unassigned };
    if (request.dryRun) return { ...found, after: before, removedPackages: [] };
    const removed: string[] = [];
    for (const packageId of request.unassignedPackages ? unassigned : []) {
      if (await this.#remove(channel, { packageId, dpId: point.dpId }, signal)) {
        removed.push(packageId);
      }
    }
    const after = await channel.unary('sweepLibrary', { dryRun: false }, call);
    return { ...found, after, removedPackages: removed };
  }

  /** @returns false when it was given to the DP meanwhile */
  async #remove(
    channel: DistributionPointChannel,
    target: Target,
    signal: AbortSignal,
  ): Promise<boolean> {
    const jobSerial = await this.#serialUnlessAssigned(target);
    if (jobSerial === undefined) return false;
    const action = { packageId: target.packageId, jobSerial };
    try {
      // Outside the package's turn: a DP may take its time, and nobody else is to wait for it.
      await channel.unary('removePackage', { action }, { deadlineMs: listDeadlineMs, signal });
      return true;
    } catch (error) {
      // Whoever assigns it from now on has a higher serial, and that one counts at the DP.
      if (isErrorWithCode(error, 'ACTION_SUPERSEDED')) return false;
      throw error;
    }
  }

  /** A serial that is older than that of whoever assigns the package later; undefined when it is assigned. */
  #serialUnlessAssigned({ packageId, dpId }: Target): Promise<number | undefined> {
    const { packages, jobSerials, store } = this.#components;
    return packages.turn(packageId, async () => {
      if (await packages.getServer(packageId, dpId)) return undefined;
      const serial = jobSerials.next();
      await store.write([serial.change], { sync: true });
      return serial.value;
    });
  }

  #require(text: string): Promise<DistributionPoint> {
    return requireOwnPoint(this.#components, requireDistributionPointId('dp_id', text));
  }
}
