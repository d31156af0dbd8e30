/** The wiring of what moves content from site to site, both ends of it (docs/hierarchy.md, 2). */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { freeBytesOf } from '../shared/content-library/library-failure.ts';
import { doesRefusalMend } from '../shared/domain/site-instruction.ts';
import { hashPackageFile } from '../shared/package-file/package-file-hash.ts';
import { makePackageFile } from '../shared/package-file/package-file-maker.ts';
import { keepDeltas, unpackPackageFile } from '../shared/package-file/package-file-unpacker.ts';
import {
  defaultVersionHistoryConfig,
  VersionHistory,
} from '../shared/package-file/version-history.ts';
import type { Component } from '../shared/runtime/component.ts';
import type { StateStore } from '../shared/state-store/state-store.ts';
import type { AdminSendRequests, SendRequestQuery } from './admin-service/hierarchy-ports.ts';
import { DespoolTask } from './despooler/despool-task.ts';
import { Despooler } from './despooler/despooler.ts';
import {
  defaultInstructionIntakeConfig,
  InstructionIntake,
} from './despooler/instruction-intake.ts';
import { defaultReceivedFileConfig } from './despooler/received-file-config.ts';
import { receivedFileReferences } from './despooler/received-file-references.ts';
import { ReceivedFileStore } from './despooler/received-file-store.ts';
import { RefusalReports } from './despooler/refusal-reports.ts';
import { TransferService } from './despooler/transfer-service.ts';
import { SiteContentTask } from './distribution-manager/site-content-task.ts';
import {
  openMiniJobSerials,
  openSendRequestSerials,
} from './distribution-manager/site-counters.ts';
import { VersionRecorder } from './distribution-manager/version-recorder.ts';
import {
  defaultPackageFileStoreConfig,
  PackageFileStore,
} from './package-file-store/package-file-store.ts';
import type { ReplicationManager } from './replication-manager/replication-manager.ts';
import { packageFileReferences } from './scheduler/package-file-references.ts';
import { defaultSchedulerConfig, Scheduler } from './scheduler/scheduler.ts';
import { defaultSendRequestTableConfig, SendRequestTable } from './scheduler/send-request-table.ts';
import { SendRequestView } from './sender/send-request-view.ts';
import { SendSteering } from './sender/send-steering.ts';
import { defaultSenderConfig, Sender } from './sender/sender.ts';
import { SignedInstructions } from './sender/signed-instructions.ts';
import { SiteConnections } from './sender/site-connections.ts';
import type { Ground } from './site-ground.ts';
import {
  decodeSignedInstruction,
  encodePackageInstruction,
  encodeTransferInstruction,
} from './site-identity/instructions.ts';
import { type SitePrestaged, sitePrestaged } from './site-prestaged.ts';

/** What the rest of the site server needs of it. */
export interface SiteTransfers {
  /** What others call: there before this site can be called. In the order of their start. */
  readonly receivers: readonly Component[];
  /** In the order of their start. */
  readonly components: readonly Component[];
  readonly service: TransferService;
  readonly prestaged: SitePrestaged;
  readonly sendRequests: AdminSendRequests;
  readonly sendSteering: SendSteering;
  /** All open send requests. */
  readonly sends: Pick<SendRequestTable, 'open' | 'countOf' | 'endedCountOf'>;
  readonly sender: Pick<Sender, 'sentBytes'>;
  readonly versionRecorder: VersionRecorder;
  readonly siteContentTask: SiteContentTask;
  /** What older versions of this site's packages consisted of. */
  readonly versions: VersionHistory;
}

/** Makes all of it. */
export async function siteTransfers(
  ground: Ground,
  replication: Pick<ReplicationManager, 'onConnected'>,
): Promise<SiteTransfers> {
  const { config, library, logOf } = ground;
  const directory = join(config.dataDirectory, 'package-history');
  const history = new VersionHistory({ library }, { ...defaultVersionHistoryConfig, directory });
  const files = packageFileStore(ground, history);
  const sending = await sendingSide(ground, files, replication);
  const receiving = receivingSide(ground, files);
  const logger = logOf('distribution-manager');
  const { despooler } = receiving;
  const others = { history, files: receiving.files, packageFiles: files, despooler };
  const prestaged = sitePrestaged(ground, others);
  const miniJobSerials = await openMiniJobSerials(ground.counters);
  return {
    receivers: [files, ...receiving.receivers, prestaged.holds],
    components: [despooler, ...sending.components],
    service: receiving.service,
    sends: sending.requests,
    sender: sending.sender,
    versions: history,
    prestaged,
    sendRequests: {
      list: (query) => sending.view.list(toViewFilter(query)),
      watch: (query, signal) => sending.view.watch(toViewFilter(query), signal),
    },
    sendSteering: sending.steering,
    versionRecorder: new VersionRecorder({ ...ground, history, logger }),
    siteContentTask: new SiteContentTask({
      ...{ ...ground, versions: history, miniJobSerials, logger },
    }),
  };
}

function toViewFilter({ destinationSiteCode, ...query }: SendRequestQuery) {
  return { ...query, siteCode: destinationSiteCode };
}

function packageFileStore(ground: Ground, history: VersionHistory): PackageFileStore {
  const { config, library, store, logOf } = ground;
  const { sending } = config;
  const directory = join(config.dataDirectory, 'package-files');
  return new PackageFileStore(
    {
      ...{ ...ground, directory, logger: logOf('package-file-store') },
      makeFile: ({ packageId, baseVersion }, path, signal) => {
        const reserveBytes = sending.packageFileReserveBytes;
        const request = { packageId, baseVersion, path, reserveBytes };
        return makePackageFile({ library, history }, request, { signal });
      },
      bytesMaxOf: async ({ packageId, baseVersion }) => {
        // How much of it a delta carries is known once it is being made.
        if (baseVersion > 0) return 0;
        const contents = (await library.getPackage(packageId))?.contents ?? [];
        return contents.reduce((sum, one) => sum + one.sizeBytes + one.manifestBytes, 0);
      },
      hashFile: (path, signal) => hashPackageFile(library.threads, path, signal),
      references: () => referencesOf(store),
      freeBytes: async () => freeBytesOf(directory),
    },
    {
      ...defaultPackageFileStoreConfig,
      makingsMax: sending.makingsMax,
      graceMs: sending.packageFileGraceMs,
      reserveBytes: sending.packageFileReserveBytes,
    },
  );
}

/** What is sent, and what has arrived and is not unpacked yet. */
async function* referencesOf(store: StateStore): AsyncGenerator<string> {
  yield* packageFileReferences(store);
  yield* receivedFileReferences(store);
}

async function sendingSide(
  ground: Ground,
  files: PackageFileStore,
  replication: Pick<ReplicationManager, 'onConnected'>,
) {
  const { config, identity, sites, logOf, siteCode } = ground;
  const { sending } = config;
  const logger = logOf('scheduler');
  const serials = await openSendRequestSerials(ground.counters);
  const requests = new SendRequestTable(
    { ...ground, serials, logger },
    { ...defaultSendRequestTableConfig, historyCountMax: sending.requestHistoryCountMax },
  );
  const live = ground.settings.live('sending', defaultSenderConfig);
  const scheduler = new Scheduler(
    { ...ground, directory: sites, requests, files, logger },
    {
      ...defaultSchedulerConfig,
      // What may be sent at once must be there.
      get filesAheadMax() {
        return Math.max(defaultSchedulerConfig.filesAheadMax, live.sendsPerSiteMax);
      },
    },
  );
  const connections = new SiteConnections(ground);
  const signing = {
    encodePackage: encodePackageInstruction,
    encodeTransfer: encodeTransferInstruction,
    decodeSigned: decodeSignedInstruction,
    sign: (bytes: Uint8Array) => identity.sign(bytes),
  };
  const instructions = new SignedInstructions(
    { ...ground, signing, siteCode, randomBytes },
    sending.instructionValidMs,
  );
  const sender = new Sender(
    {
      ...{ ...ground, directory: sites, requests, files, connections, instructions },
      onConnected: (destination, listener) => replication.onConnected(destination, listener),
      doesRefusalMend,
      logger: logOf('sender'),
    },
    live,
  );
  const view = new SendRequestView({ ...ground, requests, sender });
  const steering = new SendSteering({ ...ground, requests });
  return { components: [scheduler, connections, sender], sender, view, requests, steering };
}

function receivingSide(ground: Ground, packageFiles: PackageFileStore) {
  const { config, library, sites, identity, logOf } = ground;
  const { despooling } = config;
  const logger = logOf('despooler');
  const files = new ReceivedFileStore(
    { ...ground, packageFiles, logger },
    {
      ...{ ...defaultReceivedFileConfig, directory: join(config.dataDirectory, 'despool') },
      ...{ fileBytesMax: despooling.fileBytesMax, arrivalsMax: despooling.filesMax },
      ...{ partKeptMs: despooling.unfinishedKeptMs, reserveBytes: despooling.reserveBytes },
    },
  );
  const reports = new RefusalReports(ground);
  const parts = { ...ground, directory: sites, identities: identity, packageFiles, reports };
  const intake = new InstructionIntake(
    { ...parts, logger },
    { ...defaultInstructionIntakeConfig, freshMs: despooling.freshMs },
  );
  const service = new TransferService({ ...ground, directory: sites, files, intake, reports });
  const { reserveBytes } = despooling;
  const task = new DespoolTask({
    ...{ ...ground, packageFiles, logger },
    unpack: async (request, options) => {
      const unpacked = await unpackPackageFile({ library, reserveBytes }, request, options);
      return { ...unpacked, keepDeltas: () => keepDeltas(library, unpacked) };
    },
  });
  const despooler = new Despooler({ ...ground, task, logger }, ground.settings.live('despooling'));
  return { files, receivers: [files, intake], despooler, service };
}
