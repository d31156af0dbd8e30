import { hashOf } from '../../shared/content-library/content-hash.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type {
  PackageInstruction,
  ReceivedInstruction,
} from '../../shared/domain/site-instruction.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import {
  encodeSignedInstruction,
  type SignedInstructionParts,
} from '../site-identity/instructions.ts';
import type { SiteIdentityKeeper } from '../site-identity/site-identity-keeper.ts';
import type { DespoolLibrary, PackageFiles } from './despool-ports.ts';
import {
  type InstructionTrust,
  type ReadInstruction,
  readInstruction,
  refusalOfPackage,
  refusalOfTransfer,
  refused,
} from './instruction-check.ts';
import type { RefusalReports } from './refusal-reports.ts';
import { SeenInstructions } from './seen-instructions.ts';
import { WaitingInstructions } from './waiting-instructions.ts';

/** What taking instructions needs. */
export interface InstructionIntakeComponents {
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly directory: Pick<SiteDirectory, 'own' | 'tree' | 'hasRouteTo'>;
  readonly identities: Pick<SiteIdentityKeeper, 'refusalOf'>;
  readonly packageFiles: PackageFiles;
  readonly library: Pick<DespoolLibrary, 'getPackage'>;
  readonly reports: Pick<RefusalReports, 'tell'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/** How it is tuned. */
export interface InstructionIntakeConfig {
  /**
   * How far the clock of a sending site may be off, and how long its instruction may be on its way.
   * @default 10 minutes
   */
  readonly freshMs: number;
  /** Instructions of one site remembered for twice that time; further ones wait. @default 10_000 */
  readonly seenMax: number;
  /** Instructions of one site that are not carried out yet; further ones wait. @default 10_000 */
  readonly waitingMax: number;
  /** Packages of one source site on their way to one final site; further ones wait. @default 10_000 */
  readonly forwardedMax: number;
}

/** As documented at each. */
export const defaultInstructionIntakeConfig: InstructionIntakeConfig = {
  freshMs: 600_000,
  seenMax: 10_000,
  waitingMax: 10_000,
  forwardedMax: 10_000,
};

/** The package an offer or an instruction is about, and where it is to go. */
export type PackageTarget = Pick<
  PackageInstruction,
  'packageId' | 'sourceVersion' | 'finalSiteCode'
>;

/**
 * Takes signed instructions, or refuses them with the reason (REP-6, REP-7): nothing is believed
 * that two signatures do not say. Writes "received instructions" and "seen instructions" in one
 * synced batch with the notification for the Despooler; a crash before it leaves nothing, and the
 * sender asks again.
 */
export class InstructionIntake implements Component {
  readonly #components: InstructionIntakeComponents;
  readonly #config: InstructionIntakeConfig;
  readonly #seen: SeenInstructions;
  readonly #waiting: WaitingInstructions;
  /** One instruction after another: what one has written, the next one sees. */
  readonly #turns = new SerialQueue();

  constructor(components: InstructionIntakeComponents, config = defaultInstructionIntakeConfig) {
    this.#components = components;
    this.#config = config;
    this.#waiting = new WaitingInstructions(components);
    this.#seen = new SeenInstructions(components, { countMax: config.seenMax });
  }

  async start(): Promise<void> {
    await this.#seen.load();
    await this.#waiting.load();
  }

  async stop(): Promise<void> {
    await this.#turns.whenIdle();
    this.#waiting.stop();
  }

  /**
   * Whether a package may be on its way here at all, before its file costs anything.
   *
   * @throws INSTRUCTION_REFUSED, VERSION_DOWNGRADE
   */
  async checkOffer(
    target: PackageTarget & { readonly requestId: string },
    peerSiteCode: string,
  ): Promise<void> {
    const { requestId, packageId } = target;
    if (!this.#isWayOn(target.finalSiteCode, peerSiteCode)) {
      const reason = 'final-site-unknown';
      throw new WaybillError({ code: 'INSTRUCTION_REFUSED', requestId, packageId, reason });
    }
    await this.#storedVersion(target);
  }

  /**
   * Takes an instruction: durable when this resolves. The very same one may come again.
   *
   * @param describe is told what the instruction says, for the audit trail
   * @throws MESSAGE_INVALID, INSTRUCTION_REFUSED, VERSION_DOWNGRADE: nothing has changed;
   * RECEIVER_BUSY
   */
  async take(
    message: SignedInstructionParts,
    peerSiteCode: string,
    describe: (asked: string) => void = () => {},
  ): Promise<void> {
    let read: ReadInstruction | undefined;
    try {
      read = readInstruction(message);
      const taken = read;
      describe(wordsOf(taken));
      await this.#turns.run(() => this.#take(taken, peerSiteCode));
    } catch (error) {
      if (!isErrorWithCode(error, 'MESSAGE_INVALID', 'INSTRUCTION_REFUSED', 'VERSION_DOWNGRADE')) {
        throw error;
      }
      describe([...(read ? [wordsOf(read)] : []), error.message].join('; '));
      await this.#tellRefusal(error, { read, peerSiteCode });
      throw error;
    }
  }

  async #take(read: ReadInstruction, peerSiteCode: string): Promise<void> {
    const trust = this.#trust(peerSiteCode);
    const { nonce } = read.transfer;
    refuseIf(read, refusalOfTransfer(read, trust));
    const signed = encodeSignedInstruction(read.parts);
    const signedHash = hashOf(signed);
    const seen = this.#seen.find(peerSiteCode, { nonce, signedHash });
    if (seen === 'same') return;
    if (seen === 'other') throw refused(read, 'replayed');
    refuseIf(read, refusalOfPackage(read, trust));
    if (await this.#isNews(read, peerSiteCode)) {
      await this.#write(read, { signed, signedHash, peerSiteCode, nowMs: trust.nowMs });
    }
  }

  #trust(peerSiteCode: string): InstructionTrust {
    const { directory, identities, clock } = this.#components;
    return {
      ownSiteCode: directory.own.siteCode,
      peerSiteCode,
      nowMs: clock.nowMs(),
      freshMs: this.#config.freshMs,
      signatureRefusal: (text) => identities.refusalOf(text),
    };
  }

  /**
   * Whether there is something to do: not when the same order waits here already.
   *
   * @throws INSTRUCTION_REFUSED, VERSION_DOWNGRADE
   */
  async #isNews(read: ReadInstruction, peerSiteCode: string): Promise<boolean> {
    const { store, packageFiles, library } = this.#components;
    const { package: order } = read;
    if (!this.#isWayOn(order.finalSiteCode, peerSiteCode)) {
      throw refused(read, 'final-site-unknown');
    }
    const waiting = await store.records(keySpaces.receivedInstructions).get(order.jobId);
    if (waiting && isSameOrder(waiting, order)) return false;
    if ((await this.#storedVersion(order)) === order.sourceVersion) {
      const stored = await library.getPackage(order.packageId);
      if (stored?.packageHash !== order.packageHash) throw refused(read, 'other-content');
      // A file is needed only where the copy here is damaged; the Despooler sees to it that the source site knows.
      await packageFiles.keep(order.file.fileHash);
      return true;
    }
    const lengthBytes = await packageFiles.keep(order.file.fileHash);
    if (lengthBytes === undefined) throw refused(read, 'file-not-here');
    if (lengthBytes !== order.file.fileBytes) throw refused(read, 'file-size');
    return true;
  }

  /** This site, or one that is reached through another site than the one it comes from. */
  #isWayOn(finalSiteCode: string, peerSiteCode: string): boolean {
    const { own, tree, hasRoute } = this.#ways(finalSiteCode);
    if (finalSiteCode === own) return true;
    if (finalSiteCode === peerSiteCode) return false;
    if (hasRoute) return true;
    const next = tree.neighbourTowards(own, finalSiteCode);
    // What would go back to where it comes from, would go round for ever.
    return next !== undefined && next !== peerSiteCode;
  }

  #ways(finalSiteCode: string) {
    const { directory } = this.#components;
    const hasRoute = directory.hasRouteTo(finalSiteCode);
    return { own: directory.own.siteCode, tree: directory.tree, hasRoute };
  }

  /**
   * The version in this site's library, when the package is for this site; else 0.
   *
   * @throws VERSION_DOWNGRADE when that is a higher one
   */
  async #storedVersion(target: PackageTarget): Promise<number> {
    const { directory, library } = this.#components;
    const { packageId, sourceVersion: offered } = target;
    if (target.finalSiteCode !== directory.own.siteCode) return 0;
    const held = (await library.getPackage(packageId))?.sourceVersion ?? 0;
    if (held <= offered) return held;
    throw new WaybillError({ code: 'VERSION_DOWNGRADE', packageId, offered, held });
  }

  async #write(
    { transfer, package: order }: ReadInstruction,
    came: {
      readonly signed: Buffer;
      readonly signedHash: string;
      readonly peerSiteCode: string;
      readonly nowMs: number;
    },
  ): Promise<void> {
    const { store, notifier, logger } = this.#components;
    const { signed, signedHash, peerSiteCode, nowMs } = came;
    this.#requirePlace(order, peerSiteCode);
    const { requestId, nonce } = transfer;
    const row: ReceivedInstruction = {
      ...order,
      requestId,
      sendingSiteCode: peerSiteCode,
      receivedAtMs: nowMs,
      signed: signed.toString('base64'),
    };
    const seen = { signedHash, forgottenAtMs: nowMs + 2 * this.#config.freshMs };
    const changes = [
      ...this.#seen.remember(peerSiteCode, nonce, { row: seen, nowMs }),
      store.records(keySpaces.receivedInstructions).put(order.jobId, row),
      notifier.notification('received-instruction', order.jobId),
    ];
    try {
      await store.write(changes, { sync: true });
    } catch (error) {
      this.#seen.forget(peerSiteCode, nonce);
      throw error;
    }
    const { jobId, packageId, sourceVersion } = order;
    const facts = { jobId, packageId, sourceVersion, siteCode: peerSiteCode };
    logger.info(facts, 'Took an instruction of another site');
  }

  /** No site fills the tables of this one, with jobs for itself or for others. @throws RECEIVER_BUSY */
  #requirePlace(order: PackageInstruction, peerSiteCode: string): void {
    const { sourceSiteCode, finalSiteCode } = order;
    const { waitingMax, forwardedMax } = this.#config;
    if (this.#waiting.countOf(peerSiteCode) >= waitingMax) {
      const what = `instructions of site ${peerSiteCode} to carry out`;
      throw new WaybillError({ code: 'RECEIVER_BUSY', what, limit: waitingMax });
    }
    const isPassedOn = finalSiteCode !== this.#components.directory.own.siteCode;
    if (isPassedOn && this.#waiting.forwardedCountOf(order) >= forwardedMax) {
      const what = `packages of site ${sourceSiteCode} to pass on to site ${finalSiteCode}`;
      throw new WaybillError({ code: 'RECEIVER_BUSY', what, limit: forwardedMax });
    }
  }

  async #tellRefusal(
    error: WaybillError,
    { read, peerSiteCode }: { read: ReadInstruction | undefined; peerSiteCode: string },
  ): Promise<void> {
    const { reports, logger } = this.#components;
    const { packageId = '', sourceVersion = 0 } = read?.package ?? {};
    const facts = { siteCode: peerSiteCode, packageId, sourceVersion };
    logger.warn({ ...facts, refusal: error.details }, 'Refused an instruction of another site');
    await reports.tell({ ...facts, reason: error.message });
  }
}

function refuseIf(read: ReadInstruction, refusal: Parameters<typeof refused>[1] | undefined): void {
  if (refusal !== undefined) throw refused(read, refusal);
}

function isSameOrder(a: PackageInstruction, b: PackageInstruction): boolean {
  const keys = [
    'packageId',
    'sourceVersion',
    'baseVersion',
    'packageHash',
    'finalSiteCode',
  ] as const;
  return a.file.fileHash === b.file.fileHash && keys.every((key) => a[key] === b[key]);
}

function wordsOf({ transfer, package: order }: ReadInstruction): string {
  const { requestId, sendingSiteCode, destinationSiteCode } = transfer;
  const { jobId, packageId, sourceVersion, sourceSiteCode, finalSiteCode } = order;
  return [
    `requestId=${requestId} jobId=${jobId} packageId=${packageId} sourceVersion=${sourceVersion}`,
    `from=${sendingSiteCode} to=${destinationSiteCode}`,
    `source=${sourceSiteCode} final=${finalSiteCode}`,
  ].join(' ');
}
