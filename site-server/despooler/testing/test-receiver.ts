import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hashOf } from '../../../shared/content-library/content-hash.ts';
import { type ErrorCode, WaybillError } from '../../../shared/domain/errors.ts';
import type { SiteContent } from '../../../shared/domain/hierarchy-package.ts';
import type { PackageVersion } from '../../../shared/domain/package.ts';
import type {
  PackageInstruction,
  TransferInstruction,
} from '../../../shared/domain/site-instruction.ts';
import type { SitePackage } from '../../../shared/domain/site-package.ts';
import type { StatusMessage } from '../../../shared/domain/status-message.ts';
import { throwIfAborted } from '../../../shared/runtime/abort-error.ts';
import { type Component, startInOrder, stopInReverse } from '../../../shared/runtime/component.ts';
import { TestAuthority } from '../../../shared/site-identity/testing/test-authority.ts';
import { ChangeNotifier } from '../../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../../shared/state-store/key-space.ts';
import type { StateStore } from '../../../shared/state-store/state-store.ts';
import { CrashingStore } from '../../../shared/testing/crashing-store.ts';
import { FakeClock } from '../../../shared/testing/fake-clock.ts';
import { testProperties } from '../../../shared/testing/test-library.ts';
import { TestSettings } from '../../component-settings/testing/test-settings.ts';
import {
  encodePackageInstruction,
  encodeTransferInstruction,
  type SignedInstructionParts,
} from '../../site-identity/instructions.ts';
import { TestIdentity } from '../../site-identity/testing/test-identity.ts';
import { StatusManager } from '../../status-manager/status-manager.ts';
import { DespoolTask } from '../despool-task.ts';
import { Despooler, defaultDespoolerConfig } from '../despooler.ts';
import { defaultInstructionIntakeConfig, InstructionIntake } from '../instruction-intake.ts';
import { defaultReceivedFileConfig } from '../received-file-config.ts';
import { ReceivedFileStore } from '../received-file-store.ts';
import { RefusalReports } from '../refusal-reports.ts';
import { TransferService } from '../transfer-service.ts';
import { FakePackageFiles } from './fake-package-files.ts';

/** What a package file of a test holds: what it says it is, and how unpacking it fails. */
export interface FakePackageFile {
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly baseVersion: number;
  readonly packageHash: string;
  readonly fails?: ErrorCode | 'DELTA_BASE_MISSING';
}

/** A failure whose code this program need not know. */
class UnpackFailure extends WaybillError {
  readonly #code: string;

  constructor(code: string) {
    super({ code: 'DELTA_INVALID', deltaHash: '00', reason: code });
    this.#code = code;
  }

  override get code(): ErrorCode {
    return this.#code as ErrorCode;
  }
}

/** The packages of a site, as committed; outlives a crash. */
export class FakeLibrary {
  readonly packages = new Map<string, PackageVersion>();
  commitCount = 0;
  /** Called when a commit is done, before it is told. */
  onCommitted: () => Promise<void> = async () => {};

  async getPackage(packageId: string): Promise<PackageVersion | undefined> {
    return this.packages.get(packageId);
  }

  async commitPackage({ version }: { readonly version: PackageVersion }): Promise<void> {
    const { packageId, sourceVersion: offered } = version;
    const held = this.packages.get(packageId)?.sourceVersion ?? 0;
    if (offered < held)
      throw new WaybillError({ code: 'VERSION_DOWNGRADE', packageId, offered, held });
    this.packages.set(packageId, version);
    this.commitCount += 1;
    await this.onCommitted();
  }
}

/** One life of the receiving site, from a start to a crash or stop. */
export interface ReceiverLife {
  readonly crashing: CrashingStore;
  readonly files: ReceivedFileStore;
  readonly intake: InstructionIntake;
  readonly despooler: Despooler;
  readonly service: TransferService;
  stop(): Promise<void>;
}

/** Which hash a version of a package has in a test. */
export const packageHashOf = (packageId: string, sourceVersion: number): string =>
  hashOf(Buffer.from(`${packageId} ${sourceVersion}`));

/**
 * Site PS1, which receives from its parent CS1 and has a secondary site SS1; CS2 is another site it
 * knows. Whatever is here outlives the lives of PS1's program.
 */
export class TestReceiver implements AsyncDisposable {
  /** Changed by a test, they are obeyed from the next look on. */
  readonly limits = { ...defaultDespoolerConfig };
  readonly settings = new TestSettings();
  readonly clock: FakeClock;
  readonly authority: TestAuthority;
  readonly own: TestIdentity;
  readonly cs1: TestIdentity;
  readonly cs2: TestIdentity;
  readonly packageFiles: FakePackageFiles;
  readonly library = new FakeLibrary();
  /** Of what is unpacked: how many at once, by package. */
  readonly unpacking: string[] = [];
  /** Called with each package file that is being unpacked. */
  onUnpack: (file: FakePackageFile) => Promise<void> = async () => {};
  readonly #lives: ReceiverLife[] = [];
  #nonce = 0;

  private constructor(parts: {
    clock: FakeClock;
    authority: TestAuthority;
    sites: [TestIdentity, TestIdentity, TestIdentity];
  }) {
    this.clock = parts.clock;
    this.authority = parts.authority;
    [this.own, this.cs1, this.cs2] = parts.sites;
    this.packageFiles = new FakePackageFiles(this.own.place.join('package-files'));
  }

  static async create(): Promise<TestReceiver> {
    const clock = new FakeClock();
    const authority = await TestAuthority.create(clock.nowMs());
    const open = (siteCode: string) => TestIdentity.open({ siteCode, clock, authority });
    const sites = [await open('PS1'), await open('CS1'), await open('CS2')] as [
      TestIdentity,
      TestIdentity,
      TestIdentity,
    ];
    const receiver = new TestReceiver({ clock, authority, sites });
    const { own, cs1, cs2 } = receiver;
    await own.learn('CS1', await cs1.row());
    await own.learn('CS2', await cs2.row());
    await own.learn('SS1', await cs2.row());
    return receiver;
  }

  get store(): StateStore {
    return this.own.store;
  }

  /** The program of PS1 starts, on what is there. */
  async start(
    config: Partial<typeof defaultDespoolerConfig> = {},
    intakeConfig: Partial<typeof defaultInstructionIntakeConfig> = {},
  ): Promise<ReceiverLife> {
    const crashing = new CrashingStore(this.own.store);
    const { store } = crashing;
    const notifier = new ChangeNotifier({ store });
    const { clock, library, packageFiles } = this;
    const { directory, keeper: identities, place, log } = this.own;
    const { logger } = log;
    const status = await StatusManager.open({ store, clock, siteCode: 'PS1' });
    const reports = new RefusalReports({ store, status, clock });
    const ground = { store, notifier, directory, identities, packageFiles, library, reports };
    const files = new ReceivedFileStore(
      { packageFiles, clock, logger },
      { ...defaultReceivedFileConfig, directory: place.join('despool'), reserveBytes: 0 },
    );
    const intake = new InstructionIntake(
      { ...ground, clock, logger },
      { ...defaultInstructionIntakeConfig, ...intakeConfig },
    );
    const unpack = (request: { path: string }, { signal }: { signal: AbortSignal }) =>
      crashing.whileAlive(() => this.#unpack(request.path, signal));
    const task = new DespoolTask({
      ...{ ...ground, unpack, status, clock, logger, siteCode: 'PS1' },
      library: {
        getPackage: (packageId) => library.getPackage(packageId),
        commitPackage: (commit) => crashing.whileAlive(() => library.commitPackage(commit)),
      },
    });
    const despooler = new Despooler(
      { ...ground, task, status, clock, random: () => 1, settings: this.settings, logger },
      Object.assign(this.limits, config),
    );
    const components: Component[] = [status, files, intake, despooler];
    await startInOrder(components);
    const service = new TransferService({ directory, files, intake, reports, clock });
    const stop = () => stopInReverse(components);
    const life = { crashing, files, intake, despooler, service, stop };
    this.#lives.push(life);
    return life;
  }

  /** A package file, whole and verified, as if it had come. @returns its facts */
  async fileHere(file: FakePackageFile): Promise<{ fileHash: string; fileBytes: number }> {
    const bytes = Buffer.from(JSON.stringify(file));
    const fileHash = hashOf(bytes);
    await mkdir(this.own.place.join('package-files'), { recursive: true });
    // One that is there may be read just now.
    if (!this.packageFiles.has(fileHash)) {
      await writeFile(this.packageFiles.pathOf(fileHash), bytes);
    }
    return { fileHash, fileBytes: bytes.length };
  }

  /** The order for a version of a package of CS1, with its file here unless told otherwise. */
  async order(
    facts: Partial<PackageInstruction> & Pick<FakePackageFile, 'fails'> = {},
  ): Promise<PackageInstruction> {
    const { fails, ...given } = facts;
    const { packageId = 'CS100001', sourceVersion = 1, baseVersion = 0 } = given;
    const packageHash = given.packageHash ?? packageHashOf(packageId, sourceVersion);
    const nowMs = this.clock.nowMs();
    const about = { packageId, sourceVersion, baseVersion, packageHash };
    return {
      jobId: `CS1-${packageId}.${sourceVersion}`,
      sourceSiteCode: 'CS1',
      finalSiteCode: 'PS1',
      ...about,
      file: given.file ?? (await this.fileHere({ ...about, ...(fails && { fails }) })),
      priority: 2,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + 7 * 86_400_000,
      ...given,
    };
  }

  /** Both instructions, signed by CS1 unless told otherwise. */
  sign(
    order: PackageInstruction,
    {
      transfer = {},
      sender = this.cs1,
      source = this.cs1,
    }: {
      transfer?: Partial<TransferInstruction>;
      sender?: TestIdentity;
      source?: TestIdentity;
    } = {},
  ): SignedInstructionParts {
    const orderBytes = encodePackageInstruction(order);
    const bySource = source.keeper.sign(orderBytes);
    this.#nonce += 1;
    const transferBytes = encodeTransferInstruction({
      requestId: `${order.jobId}.CS1`,
      sendingSiteCode: 'CS1',
      destinationSiteCode: 'PS1',
      signedAtMs: this.clock.nowMs(),
      nonce: this.#nonce.toString(16).padStart(32, '0'),
      packageInstructionHash: hashOf(orderBytes),
      ...transfer,
    });
    const bySender = sender.keeper.sign(transferBytes);
    return {
      transfer: transferBytes,
      transferSignature: bySender.signature,
      transferKeyId: bySender.keyId,
      package: orderBytes,
      packageSignature: bySource.signature,
      packageKeyId: bySource.keyId,
    };
  }

  /** What the hierarchy knows of a package comes here, with its notification. */
  async metadata(facts: Partial<SitePackage> = {}, notifies = true): Promise<void> {
    const { packageId = 'CS100001', sourceVersion = 1 } = facts;
    const row: SitePackage = {
      packageId,
      properties: testProperties,
      sourceSiteCode: 'CS1',
      sources: [],
      sourceVersion,
      packageHash: packageHashOf(packageId, sourceVersion),
      state: 'published',
      reason: '',
      acceptedRequestCount: 1,
      handledRequestCount: 1,
      sourceUnchanged: false,
      createdAtMs: 0,
      updatedAtMs: 0,
      ...facts,
    };
    const notifier = new ChangeNotifier({ store: this.store });
    const change = this.store.records(keySpaces.publishedPackages).put(packageId, row);
    const notification = notifier.notification('hierarchy-package', packageId);
    await this.store.write([change, ...(notifies ? [notification] : [])], { sync: false });
  }

  /** A version as it stands in the library. */
  versionOf(packageId: string, sourceVersion: number): PackageVersion {
    const packageHash = packageHashOf(packageId, sourceVersion);
    return { packageId, sourceVersion, packageHash, contents: [], properties: testProperties };
  }

  /** How unpacking fails without room. */
  diskFull(): WaybillError {
    return new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 1, neededBytes: 2 });
  }

  async loseFile(fileHash: string): Promise<void> {
    await rm(this.packageFiles.pathOf(fileHash));
  }

  /** What PS1 says it holds. */
  content(packageId = 'CS100001'): Promise<SiteContent | undefined> {
    return this.store.records(keySpaces.siteContents).get(joinKey(packageId, 'PS1'));
  }

  /** PS1 says this of the version it stores. */
  async say(facts: Partial<SiteContent>): Promise<void> {
    const { packageId, siteCode } = { packageId: 'CS100001', siteCode: 'PS1' };
    const content: SiteContent = {
      ...{ packageId, siteCode, state: 'stored', storedVersion: 1, reason: '', refusedJobId: '' },
      ...{ storedHash: packageHashOf(packageId, 1), needsFull: false, changedAtMs: 0 },
      ...facts,
    };
    const rows = this.store.records(keySpaces.siteContents);
    await this.store.write([rows.put(joinKey(packageId, siteCode), content)], { sync: false });
  }

  async waitingJobs(): Promise<string[]> {
    const jobIds: string[] = [];
    for await (const [jobId] of this.store.records(keySpaces.receivedInstructions).list()) {
      jobIds.push(jobId);
    }
    return jobIds;
  }

  async statusMessages(messageId: number): Promise<StatusMessage[]> {
    const messages: StatusMessage[] = [];
    for await (const [, message] of this.store.records(keySpaces.statusMessages).list()) {
      if (message.messageId === messageId) messages.push(message);
    }
    return messages;
  }

  async news(topic: 'package' | 'mini-job'): Promise<string[]> {
    const subjects = new Set<string>();
    const notifier = new ChangeNotifier({ store: this.store });
    for await (const { subject } of notifier.pending(topic)) subjects.add(subject);
    return [...subjects];
  }

  async #unpack(path: string, signal: AbortSignal) {
    const file = JSON.parse(await readFile(path, 'utf8')) as FakePackageFile;
    const { packageId, sourceVersion, packageHash, fails } = file;
    this.unpacking.push(packageId);
    try {
      await this.onUnpack(file);
      throwIfAborted(signal);
    } finally {
      this.unpacking.splice(this.unpacking.indexOf(packageId), 1);
    }
    if (fails) throw new UnpackFailure(fails);
    const properties = testProperties;
    const version = { packageId, sourceVersion, packageHash, contents: [], properties };
    return { version, staged: [] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const life of this.#lives) if (!life.crashing.hasCrashed) await life.stop();
    for (const site of [this.cs2, this.cs1, this.own]) await site[Symbol.asyncDispose]();
  }
}

/** Resolves when something is so; fails when nothing more can make it so. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const startMs = performance.now(); performance.now() - startMs < 20_000; ) {
    if (await isSo()) return;
    await new Promise((next) => setImmediate(next));
  }
  throw new Error('It did not come to be');
}
