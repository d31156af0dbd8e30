import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { hashOf } from '../../../shared/content-library/content-hash.ts';
import { WaybillError } from '../../../shared/domain/errors.ts';
import type { MiniJob, SendRequest } from '../../../shared/domain/send-request.ts';
import { SiteTree } from '../../../shared/domain/site-tree.ts';
import type { AuditEvent } from '../../../shared/rpc/audit-event.ts';
import type { PeerCredentials } from '../../../shared/rpc/peer-credentials.ts';
import { throwIfAborted } from '../../../shared/runtime/abort-error.ts';
import { startInOrder, stopInReverse } from '../../../shared/runtime/component.ts';
import { ChangeNotifier } from '../../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../../shared/state-store/key-space.ts';
import { StateStore } from '../../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../../shared/testing/captured-log.ts';
import type { CrashingStore } from '../../../shared/testing/crashing-store.ts';
import { FakeClock } from '../../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { testMiniJob } from '../../../shared/testing/test-send-request.ts';
import { TransferArbiter } from '../../../shared/transfer-arbiter/transfer-arbiter.ts';
import type { TestSettings } from '../../component-settings/testing/test-settings.ts';
import { openSendRequestSerials } from '../../distribution-manager/site-counters.ts';
import { TransferControlRows } from '../../hierarchy-manager/transfer-control-rows.ts';
import { PackageFileStore } from '../../package-file-store/package-file-store.ts';
import { packageFileReferences } from '../../scheduler/package-file-references.ts';
import { defaultSchedulerConfig, Scheduler } from '../../scheduler/scheduler.ts';
import { SendRequestTable } from '../../scheduler/send-request-table.ts';
import { StatusManager } from '../../status-manager/status-manager.ts';
import { SendRequestView } from '../send-request-view.ts';
import { defaultSenderConfig, Sender, type SenderConfig } from '../sender.ts';
import { type InstructionSigning, SignedInstructions } from '../signed-instructions.ts';
import { SiteConnections } from '../site-connections.ts';
import { FakeSite } from './fake-link.ts';

/** CS1 over PS1 and PS2; SS1 below PS1. Sends run at CS1. */
export const testSites = [
  { siteCode: 'CS1', kind: 'central-administration', parentSiteCode: '' },
  { siteCode: 'PS1', kind: 'primary', parentSiteCode: 'CS1' },
  { siteCode: 'PS2', kind: 'primary', parentSiteCode: 'CS1' },
  { siteCode: 'PS3', kind: 'primary', parentSiteCode: 'CS1' },
  { siteCode: 'SS1', kind: 'secondary', parentSiteCode: 'PS1' },
] as const;

/** Instructions as JSON, "signed" by what they hash to. */
export const testSigning: InstructionSigning = {
  encodePackage: (instruction) => Buffer.from(JSON.stringify(instruction)),
  encodeTransfer: (instruction) => Buffer.from(JSON.stringify(instruction)),
  decodeSigned: (bytes) => {
    const { package: text } = JSON.parse(String(bytes)) as { package: string };
    const signed = { packageSignature: Buffer.from('theirs'), packageKeyId: 'their key' };
    return { package: Buffer.from(text), ...signed };
  },
  sign: (bytes) => ({ keyId: 'our key', signature: Buffer.from(hashOf(bytes), 'hex') }),
};

/** What outlives a crash of the sending site: its disk, and the world around it. */
export class SendingMachine implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly log = new CapturedLog();
  readonly directory: TemporaryDirectory;
  readonly store: StateStore;
  readonly sites: ReadonlyMap<string, FakeSite>;
  readonly tree = { sites: [...testSites] as (typeof testSites)[number][] };
  readonly addresses = new Map([['PS1', ['a:1']]]);
  readonly directRoutes = new Set<string>();
  /** What making a package file meets, by package. */
  readonly makeFailures = new Map<string, Error>();
  /** Bytes of the package file of a package; 1 MiB unless it is said here. */
  readonly fileBytes = new Map<string, number>();
  /** Version of a package in the library, when it is not the one that is ordered. */
  readonly libraryVersions = new Map<string, number>();
  readonly made: string[] = [];
  /** What the site has written into its audit trail. */
  readonly audited: AuditEvent[] = [];
  freeBytes = 1e12;

  private constructor(directory: TemporaryDirectory, store: StateStore) {
    this.directory = directory;
    this.store = store;
    this.sites = new Map(
      testSites.map(({ siteCode }) => [siteCode, new FakeSite({ clock: this.clock })]),
    );
  }

  static async open(): Promise<SendingMachine> {
    const directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    const { store } = await StateStore.open({ directory: directory.join('db'), logger });
    await mkdir(directory.join('files'));
    return new SendingMachine(directory, store);
  }

  /** The site at the other end of a link; the test's own time limit ends a wait for it. */
  site(siteCode = 'PS1'): FakeSite {
    const site = this.sites.get(siteCode);
    if (!site) throw new Error(`no site ${siteCode}`);
    return site;
  }

  /** Looks again after every turn of the event loop, a little time having passed if so wished. */
  async until(isTrue: () => boolean | Promise<boolean>, stepMs = 1): Promise<void> {
    while (!(await isTrue())) {
      if (stepMs > 0) await this.clock.advance(stepMs);
      else await this.clock.advance(0);
      await nextTurn();
    }
  }

  /** Makes mini-jobs as Distribution Manager does, in one batch. */
  async order(...jobs: Partial<MiniJob>[]): Promise<MiniJob[]> {
    const notifier = new ChangeNotifier({ store: this.store });
    const made = jobs.map((job) => testMiniJob(job));
    const changes = made.flatMap((job) => [
      this.store.records(keySpaces.miniJobs).put(job.jobId, job),
      this.store.records(keySpaces.siteDeliveries).put(joinKey(job.packageId, job.finalSiteCode), {
        ...{ packageId: job.packageId, siteCode: job.finalSiteCode, jobId: job.jobId },
        ...{ sourceVersion: job.sourceVersion, baseVersion: job.baseVersion },
        ...{ wishes: {}, repeatCount: 0 },
      }),
      notifier.notification('mini-job', job.jobId),
    ]);
    await this.store.write(changes, { sync: false });
    return made;
  }

  /** Ends a mini-job as Distribution Manager does. */
  async withdraw(jobId: string): Promise<void> {
    const notifier = new ChangeNotifier({ store: this.store });
    const gone = this.store.records(keySpaces.miniJobs).delete(jobId);
    await this.store.write([gone, notifier.notification('mini-job', jobId)], { sync: false });
  }

  async history(): Promise<SendRequest[]> {
    const ended: SendRequest[] = [];
    const rows = this.store.records(keySpaces.sendRequestHistory);
    for await (const [, request] of rows.list()) ended.push(request);
    return ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.directory[Symbol.asyncDispose]();
  }
}

/** One life of the sending site: the real components over fake links. */
export class SendingSite {
  readonly files: PackageFileStore;
  readonly requests: SendRequestTable;
  readonly scheduler: Scheduler;
  readonly sender: Sender;
  readonly view: SendRequestView;
  readonly status: StatusManager;
  readonly notifier: ChangeNotifier;
  readonly arbiter: TransferArbiter;
  readonly transferControls: TransferControlRows;
  readonly #machine: SendingMachine;
  readonly #listeners = new Map<string, () => void>();
  readonly #schedulerConfig = { ...defaultSchedulerConfig };
  #onSettingsChanged = () => {};

  private constructor(
    machine: SendingMachine,
    made: { store: StateStore; status: StatusManager; requests: SendRequestTable },
    options: SendingOptions,
  ) {
    const { store, status, requests } = made;
    const { clock, log } = machine;
    const { logger } = log;
    this.#machine = machine;
    this.status = status;
    this.requests = requests;
    this.notifier = new ChangeNotifier({ store });
    const { notifier } = this;
    const directory = this.#directory();
    const random = () => 0.5;
    this.files = fileStoreOf(machine, store);
    const { files } = this;
    const auditTrail = { record: (event: AuditEvent) => machine.audited.push(event) };
    const shared = { store, requests, clock, random, logger, directory, files, auditTrail };
    const settings = {
      onChanged: (listener: () => void) => {
        this.#onSettingsChanged = listener;
        return () => {};
      },
    };
    this.scheduler = new Scheduler({ ...shared, notifier, settings }, this.#schedulerConfig);
    const siteCode = 'CS1';
    const randomBytes = (count: number) => Buffer.alloc(count, clock.nowMs() % 251);
    const signing = { signing: testSigning, siteCode, clock, randomBytes };
    this.arbiter = new TransferArbiter(clock);
    const { arbiter } = this;
    this.transferControls = new TransferControlRows({ store, arbiter, siteCode });
    this.sender = new Sender(
      {
        ...{ ...shared, arbiter, transferControls: this.transferControls },
        connections: this.#connections(options.life),
        instructions: new SignedInstructions(signing, 1e9),
        onConnected: (to, listener) => {
          this.#listeners.set(to, listener);
          return () => this.#listeners.delete(to);
        },
        doesRefusalMend: (reason) => reason.startsWith('for now'),
        ...(options.settings && { settings: options.settings }),
      },
      options.limits ?? { ...defaultSenderConfig, ...options.sender },
    );
    const { sender } = this;
    this.view = new SendRequestView({ requests, sender, store, clock });
  }

  static async start(machine: SendingMachine, options: SendingOptions = {}): Promise<SendingSite> {
    const { clock, log } = machine;
    const { logger } = log;
    const siteCode = 'CS1';
    const store = options.life?.store ?? machine.store;
    const counters = { store: machine.store, clock, siteCode, isStoreDamaged: false };
    const status = await StatusManager.open({ store, clock, siteCode });
    const serials = await openSendRequestSerials(counters);
    const notifier = new ChangeNotifier({ store });
    const needs = { store, notifier, serials, status, clock, logger, siteCode };
    const requests = new SendRequestTable(needs);
    const site = new SendingSite(machine, { store, status, requests }, options);
    await startInOrder([site.transferControls, site.files, site.scheduler, site.sender]);
    return site;
  }

  async stop(): Promise<void> {
    await stopInReverse([this.transferControls, this.files, this.scheduler, this.sender]);
  }

  /** An administrator lets so many files be made ahead for a destination. */
  setFilesAhead(filesAheadMax: number): void {
    this.#schedulerConfig.filesAheadMax = filesAheadMax;
    this.#onSettingsChanged();
  }

  /** The replication stream of another site is there again. */
  connected(siteCode: string): void {
    this.#listeners.get(siteCode)?.();
  }

  /** The one open request of a job, once there is one. */
  async requestOf(jobId: string, stepMs = 1): Promise<SendRequest> {
    await this.#machine.until(() => this.requests.ofJob(jobId) !== undefined, stepMs);
    const request = this.requests.ofJob(jobId);
    if (!request) throw new Error(`no request of ${jobId}`);
    return request;
  }

  /** The request of the job that `order` makes when nothing is said of it, once it is as wished. */
  async becomes(isSo: (request: SendRequest) => boolean, stepMs = 1): Promise<SendRequest> {
    const { jobId } = testMiniJob();
    let found: SendRequest | undefined;
    await this.#machine.until(() => {
      const request = this.requests.ofJob(jobId);
      if (request && isSo(request)) found = request;
      return found !== undefined;
    }, stepMs);
    return found as SendRequest;
  }

  /** Resolves when no request is open, and every order was looked at. */
  async allEnded(stepMs = 1): Promise<void> {
    await this.#machine.until(async () => {
      for await (const _ of this.notifier.pending('mini-job')) return false;
      for await (const _ of this.#machine.store.records(keySpaces.miniJobs).list()) return false;
      return [...this.requests.open()].length === 0;
    }, stepMs);
  }

  #directory() {
    const machine = this.#machine;
    return {
      own: { siteCode: 'CS1', kind: 'central-administration' } as const,
      get tree() {
        const about = { address: '', description: '' };
        return new SiteTree(machine.tree.sites.map((site) => ({ ...site, ...about })));
      },
      hasRouteTo: (to: string) => machine.directRoutes.has(to),
      addressesOf: (to: string) => machine.addresses.get(to) ?? ['a:1'],
    };
  }

  #connections(life?: CrashingStore): SiteConnections {
    const machine = this.#machine;
    return new SiteConnections({
      credentials: {} as PeerCredentials,
      clock: machine.clock,
      openChannel: ({ address, expectedText }) =>
        machine.site(expectedText.slice('site '.length)).channel(address, life),
    });
  }
}

/** How a test wants its site. */
export interface SendingOptions {
  readonly life?: CrashingStore;
  readonly sender?: Partial<SenderConfig>;
  /** A test changes them, and tells `settings`. @default as `sender` has them */
  readonly limits?: SenderConfig;
  readonly settings?: TestSettings;
}

/** A store of package files whose bytes are made up. */
export function fileStoreOf(
  machine: SendingMachine,
  store: StateStore = machine.store,
  references = () => packageFileReferences(machine.store),
): PackageFileStore {
  const { clock, log } = machine;
  const { logger } = log;
  return new PackageFileStore({
    ...{ store, references, clock, logger, directory: machine.directory.join('files') },
    makeFile: async ({ packageId, sourceVersion, baseVersion, packageHash }, path, signal) => {
      const failure = machine.makeFailures.get(packageId);
      if (failure) throw failure;
      machine.made.push(`${packageId} ${baseVersion}..${sourceVersion}`);
      const fileBytes = machine.fileBytes.get(packageId) ?? 1024 * 1024;
      const bytes = Buffer.alloc(fileBytes, `${packageId} ${baseVersion}..${sourceVersion}`);
      await writeFile(path, bytes);
      throwIfAborted(signal);
      const madeVersion = machine.libraryVersions.get(packageId) ?? sourceVersion;
      return { fileHash: hashOf(bytes), fileBytes, sourceVersion: madeVersion, packageHash };
    },
    hashFile: async (path) => hashOf(await readFile(path)),
    bytesMaxOf: async ({ packageId }) => machine.fileBytes.get(packageId) ?? 1024 * 1024,
    freeBytes: async () => machine.freeBytes,
  });
}

/** A failure as a peer sends it. */
export function refusal(reason: string): WaybillError {
  // The code of the receiver's own, whether or not this program knows it.
  const error = new WaybillError({ code: 'PEER_FAILED', peer: 'site PS1', reason });
  Object.defineProperty(error, 'code', { value: 'INSTRUCTION_REFUSED' });
  return error;
}
