import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
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
  #remove(
    channel: DistributionPointChannel,
    { packageId, dpId }: { packageId: string; dpId: string },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { packages, jobSerials, store } = this.#components;
    // In the package's turn: nobody assigns it while it is taken off.
    return packages.turn(packageId, async () => {
      if (await packages.getServer(packageId, dpId)) return false;
      const serial = jobSerials.next();
      await store.write([serial.change], { sync: true });
      const action = { packageId, jobSerial: serial.value };
      await channel.unary('removePackage', { action }, { deadlineMs: listDeadlineMs, signal });
      return true;
    });
  }

  #require(text: string): Promise<DistributionPoint> {
    return requireOwnPoint(this.#components, requireDistributionPointId('dp_id', text));
  }
}
