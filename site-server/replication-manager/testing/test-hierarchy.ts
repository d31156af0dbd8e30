import { setImmediate as nextTurn } from 'node:timers/promises';
import { WaybillError } from '../../../shared/domain/errors.ts';
import type { SiteDefinition, SiteKind } from '../../../shared/domain/site.ts';
import type { AuditEvent } from '../../../shared/rpc/audit-event.ts';
import type { Conversation } from '../../../shared/rpc/conversation.ts';
import type {
  ReplicationMessage,
  ReplicationMessage__Output,
} from '../../../shared/rpc/generated/waybill/v1/ReplicationMessage.ts';
import type { PeerCredentials } from '../../../shared/rpc/peer-credentials.ts';
import { methodDefinition } from '../../../shared/rpc/service-definitions.ts';
import { AbortError } from '../../../shared/runtime/abort-error.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import { ChangeNotifier } from '../../../shared/state-store/change-notifier.ts';
import { type KeySpace, keySpaces } from '../../../shared/state-store/key-space.ts';
import { StateStore } from '../../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../../shared/testing/captured-log.ts';
import { FakeClock } from '../../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { SiteDirectory } from '../../hierarchy-manager/site-directory.ts';
import { StatusManager } from '../../status-manager/status-manager.ts';
import { ChangeCapture } from '../change-capture.ts';
import type { RowChecks } from '../change-check.ts';
import { defaultReplicationConfig, type ReplicationConfig } from '../replication-config.ts';
import { ReplicationManager } from '../replication-manager.ts';

/** A message as it arrives: through the codec of the wire. */
export function overTheWire(message: ReplicationMessage): ReplicationMessage__Output {
  const { requestSerialize, requestDeserialize } = methodDefinition('Replication', 'synchronise');
  return requestDeserialize(requestSerialize(message)) as ReplicationMessage__Output;
}

const answersAheadMax = 4;

/** A message, of either side; undefined: the parent has ended the call. */
type OnMessage = (message: ReplicationMessage__Output | undefined) => void;

/** A stream over a simulated link: a call as the child sees it, bridged to the parent's answers. */
class SimulatedCall {
  readonly over: Promise<void>;
  readonly #abort = new AbortController();
  readonly #requests: {
    message: ReplicationMessage__Output;
    taken: () => void;
    lost: (e: Error) => void;
  }[] = [];
  readonly #answered: (ReplicationMessage__Output | undefined | Error)[] = [];
  readonly #onMessage: OnMessage;
  #wake = () => {};
  #wakeReader = () => {};
  #wakePump = () => {};
  #failure: Error | undefined;
  #over: Error | undefined;
  #isEnded = false;

  constructor(parent: Conversation<'Replication'>, childCode: string, onMessage: OnMessage) {
    const caller = { identity: { kind: 'site', siteCode: childCode }, address: 'test' } as const;
    const context = { caller, signal: this.#abort.signal };
    this.#onMessage = onMessage;
    void this.#pump(parent.synchronise(this.#received(), context));
    this.over = new Promise((resolve) =>
      this.#abort.signal.addEventListener('abort', () => resolve(), { once: true }),
    );
  }

  write(message: ReplicationMessage | Buffer): Promise<void> {
    const sent = overTheWire(message as ReplicationMessage);
    this.#onMessage(sent);
    const over = this.#failure ?? this.#over;
    if (over) return Promise.reject(over);
    return new Promise((taken, lost) => {
      this.#requests.push({ message: sent, taken, lost });
      this.#wake();
    });
  }

  async read(): Promise<ReplicationMessage__Output | undefined> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      if (this.#answered.length > 0) break;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
    const next = this.#answered.shift();
    this.#wakePump();
    this.#onMessage(next instanceof Error ? undefined : next);
    if (next instanceof Error) throw next;
    return next;
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  cancel(reason?: Error): void {
    this.cut(reason ?? new AbortError('The call was cancelled'));
  }

  /** The link is gone, for both ends. */
  cut(failure: Error): void {
    if (this.#failure) return;
    this.#failure = failure;
    for (const { lost } of this.#requests.splice(0)) lost(failure);
    this.#abort.abort();
    this.#wake();
    this.#wakeReader();
    this.#wakePump();
  }

  /** As the server sends: a few answers ahead of the reader. */
  async #pump(answers: AsyncIterable<ReplicationMessage | Buffer>): Promise<void> {
    try {
      for await (const answer of answers) {
        this.#answered.push(overTheWire(answer as ReplicationMessage));
        this.#wakeReader();
        while (this.#answered.length >= answersAheadMax && !this.#failure) {
          await new Promise<void>((resolve) => {
            this.#wakePump = resolve;
          });
        }
        if (this.#failure) break;
      }
      this.#over = new AbortError('The parent ended the call');
      this.#answered.push(undefined);
    } catch (error) {
      this.#over = error as Error;
      this.#answered.push(this.#over);
    }
    for (const { lost } of this.#requests.splice(0)) lost(this.#over);
    this.#wakeReader();
  }

  async *#received(): AsyncGenerator<ReplicationMessage__Output> {
    for (;;) {
      const next = this.#requests.shift();
      if (this.#failure) throw new AbortError('The call is over');
      if (next) {
        next.taken();
        yield next.message;
      } else if (this.#isEnded) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/** One site of a test, which can be stopped, started and lose its store. */
export class TestSite {
  readonly code: string;
  readonly audit: AuditEvent[] = [];
  readonly log = new CapturedLog();
  skewMs = 0;
  checks: RowChecks = {};
  store!: StateStore;
  capture!: ChangeCapture;
  notifier!: ChangeNotifier;
  directory!: SiteDirectory;
  status!: StatusManager;
  manager!: ReplicationManager;
  isRunning = false;
  readonly #hierarchy: TestHierarchy;
  readonly #kind: SiteKind;
  readonly #parent: string;

  constructor(
    hierarchy: TestHierarchy,
    definition: Pick<SiteDefinition, 'siteCode' | 'kind' | 'parentSiteCode'>,
  ) {
    this.#hierarchy = hierarchy;
    this.code = definition.siteCode;
    this.#kind = definition.kind;
    this.#parent = definition.parentSiteCode;
  }

  /** Its clock: the hierarchy's, and how far it is off. */
  get clock(): Clock {
    const { clock } = this.#hierarchy;
    return {
      nowMs: () => clock.nowMs() + this.skewMs,
      monotonicMs: () => clock.monotonicMs(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
    };
  }

  async start(options: { isStoreDamaged?: boolean } = {}): Promise<void> {
    const { clock, code: siteCode } = this;
    const { logger } = this.log;
    const directory = this.#hierarchy.directory.join(siteCode, 'state');
    this.store = (await StateStore.open({ directory, logger })).store;
    const { store } = this;
    this.notifier = new ChangeNotifier({ store });
    const { notifier } = this;
    const isStoreDamaged = options.isStoreDamaged ?? false;
    this.capture = await ChangeCapture.open({ store, notifier, clock, siteCode, isStoreDamaged });
    this.status = await StatusManager.open({ store, clock, siteCode });
    const parent = { siteCode: this.#parent, address: `${this.#parent}:1` };
    const own = { siteCode, kind: this.#kind, ...(this.#parent !== '' && { parent }) };
    this.directory = new SiteDirectory({ store, own });
    await this.directory.start();
    this.manager = await ReplicationManager.open(
      {
        ...{ store, notifier, clock, logger, capture: this.capture, directory: this.directory },
        ...{ status: this.status, checks: this.checks, random: () => 0.5 },
        auditTrail: { record: (event) => this.audit.push(event) },
        credentials: {} as PeerCredentials,
        openChannel: ({ address }) =>
          this.#hierarchy.channel(siteCode, address.split(':')[0] ?? ''),
      },
      this.#hierarchy.config,
    );
    await this.manager.start();
    this.isRunning = true;
  }

  async stop(): Promise<void> {
    if (!this.isRunning) return;
    this.isRunning = false;
    this.#hierarchy.cutAll(this.code);
    await this.manager.stop();
    await this.directory.stop();
    await this.status.stop();
    await this.store.close();
  }

  /** All rows of a table. */
  async rows<V>(space: KeySpace<V>): Promise<Map<string, V>> {
    const rows = new Map<string, V>();
    for await (const [key, value] of this.store.records(space).list()) rows.set(key, value);
    return rows;
  }

  /** Defines a site here, as an administrator does. */
  async define(definition: SiteDefinition): Promise<void> {
    const sites = this.store.records(keySpaces.sites);
    await this.store.write([sites.put(definition.siteCode, definition)], { sync: true });
  }
}

/** Several sites in one process, on real stores and simulated links. */
export class TestHierarchy implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly config: ReplicationConfig;
  readonly directory: TemporaryDirectory;
  readonly sites = new Map<string, TestSite>();
  /** Messages that went over all links. */
  messageCount = 0;
  /** Called at each message on the link of a child, such as to cut it in the middle. */
  onMessage: (child: string, message: ReplicationMessage__Output | undefined) => void = () => {};
  readonly #calls = new Map<SimulatedCall, [string, string]>();
  readonly #cut = new Set<string>();

  private constructor(directory: TemporaryDirectory, config: Partial<ReplicationConfig>) {
    this.directory = directory;
    // Time runs much faster than disks here.
    this.config = {
      ...defaultReplicationConfig,
      stallMs: 10_000_000,
      retryDelayMsMax: 2_000,
      ...config,
    };
  }

  static async create(config: Partial<ReplicationConfig> = {}): Promise<TestHierarchy> {
    return new TestHierarchy(await TemporaryDirectory.create(), config);
  }

  /** Starts a site that is at its parent, if that runs, already known. */
  async add(siteCode: string, kind: SiteKind, parentSiteCode = ''): Promise<TestSite> {
    const definition = { siteCode, kind, parentSiteCode, address: '', description: '' };
    const site = new TestSite(this, definition);
    this.sites.set(siteCode, site);
    await this.sites.get(parentSiteCode)?.define(definition);
    await site.start();
    if (parentSiteCode === '') await site.define(definition);
    return site;
  }

  /** Starts a site that was stopped below another parent. */
  async move(siteCode: string, parentSiteCode: string): Promise<TestSite> {
    const site = new TestSite(this, { siteCode, kind: 'secondary', parentSiteCode });
    this.sites.set(siteCode, site);
    await site.start();
    return site;
  }

  site(siteCode: string): TestSite {
    const site = this.sites.get(siteCode);
    if (!site) throw new Error(`There is no site ${siteCode}`);
    return site;
  }

  channel(child: string, parent: string) {
    const calls: SimulatedCall[] = [];
    return {
      duplex: () => {
        const site = this.sites.get(parent);
        if (!site?.isRunning || this.#cut.has(`${child} ${parent}`)) throw unreachable(parent);
        const call = new SimulatedCall(site.manager.conversation(), child, (message) => {
          this.messageCount += 1;
          this.onMessage(child, message);
        });
        this.#calls.set(call, [child, parent]);
        calls.push(call);
        return call as never;
      },
      close: () => {
        for (const call of calls) this.#calls.delete(call);
      },
    };
  }

  /** Cuts the link between a child and its parent until it is mended. */
  cut(child: string, parent: string): void {
    this.#cut.add(`${child} ${parent}`);
    this.#drop((ends) => ends[0] === child && ends[1] === parent);
  }

  mend(child: string, parent: string): void {
    this.#cut.delete(`${child} ${parent}`);
  }

  mendAll(): void {
    this.#cut.clear();
  }

  /** Breaks the streams of a site; they come back by themselves. */
  cutAll(siteCode: string): void {
    this.#drop((ends) => ends.includes(siteCode));
  }

  /** Lets time pass and disks work until something is so. */
  async until(isSo: () => Promise<boolean> | boolean, what = 'it'): Promise<void> {
    for (let round = 0; round < 1_500; round++) {
      if (await isSo()) return;
      for (let turn = 0; turn < 5; turn++) {
        // Disks are real here: time stands still while they work.
        for (const site of this.sites.values()) if (site.isRunning) await site.store.settled();
        await nextTurn();
      }
      await this.clock.advance(250);
    }
    throw new Error(`${what} did not come true`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const site of this.sites.values()) await site.stop();
    await this.directory[Symbol.asyncDispose]();
  }

  #drop(isMeant: (ends: [string, string]) => boolean): void {
    for (const [call, ends] of this.#calls) if (isMeant(ends)) call.cut(unreachable(ends[1]));
  }
}

function unreachable(siteCode: string): WaybillError {
  const facts = { peer: `site ${siteCode}`, address: 'test', reason: 'the link is cut' };
  return new WaybillError({ code: 'PEER_UNREACHABLE', ...facts });
}
