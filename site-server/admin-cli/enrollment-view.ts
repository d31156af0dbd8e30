import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import {
  fromIdentityUri,
  holderOf,
  type PeerIdentity,
  toIdentityUri,
} from '../../shared/domain/peer-identity.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import { isUnknownMethod } from '../../shared/rpc/call-failure.ts';
import type { CreatedEnrollment__Output } from '../../shared/rpc/generated/waybill/v1/CreatedEnrollment.ts';
import type { EnrollmentRecord__Output } from '../../shared/rpc/generated/waybill/v1/EnrollmentRecord.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { toDurationText } from '../../shared/runtime/duration-text.ts';
import { enrollmentValidMsMax } from '../enrollment/enrollment-config.ts';
import { CommandFailure } from './command-failure.ts';
import { durationText, option } from './options.ts';
import type { Session } from './session.ts';
import { toCount, toWord } from './wire-values.ts';

const dayMs = 86_400_000;

/** For every command that makes a token. What no site takes is refused before anything is added. */
export const validForOption = option(
  'valid-for',
  'How long the token counts; an hour unless the site says otherwise',
  {
    parse: (text: string): number | undefined => {
      const ms = durationText.parse(text);
      return ms !== undefined && ms <= enrollmentValidMsMax ? ms : undefined;
    },
    expected: `${durationText.expected}; at most ${enrollmentValidMsMax / dayMs}d`,
  },
);

/** A token's row, as `--json` shows it. */
export type EnrollmentRecord = ReturnType<typeof toEnrollmentRecord>;

/** A token's row as it came from the site server. */
export function toEnrollmentRecord(wire: EnrollmentRecord__Output) {
  return {
    tokenId: wire.tokenId,
    identity: wire.identityUri,
    state: toWord('ENROLLMENT_STATE_', wire.state),
    createdAtMs: toCount(wire.createdAtMs, 'created_at_ms'),
    createdBy: wire.createdBy,
    expiresAtMs: toCount(wire.expiresAtMs, 'expires_at_ms'),
    usedAtMs: toCount(wire.usedAtMs, 'used_at_ms'),
    usedFrom: wire.usedFrom,
    wrongSecretCount: wire.wrongSecretCount,
    reason: wire.reason,
  };
}

/** Who a row is about, short: `dp/PS1DP1`. */
export function toHolderText(identityUri: string): string {
  const identity = fromIdentityUri(identityUri);
  return identity ? holderOf(identity) : identityUri;
}

/** A token that was made, and the one command that it is used with; the only time that it is shown. */
export interface MadeToken extends EnrollmentRecord {
  readonly token: string;
  /** For a shell of the new machine: it asks for the token. */
  readonly askingCommand: string;
  /** The same for a script, which hands the token over itself. */
  readonly command: string;
  /** host:port where it enrolls. */
  readonly server: string;
  /** Which site must answer there; empty: it has not said. */
  readonly serverSite: string;
  /** Whether the site knows of a certificate of this name: the command replaces it. */
  readonly wasEnrolled: boolean;
}

/** Has a token made. */
export async function makeToken(
  { admin }: Pick<Session, 'admin'>,
  identity: PeerIdentity,
  validForMs: number | undefined,
): Promise<MadeToken> {
  const identityUri = toIdentityUri(identity);
  return toMadeToken(
    identity,
    await admin.ask('createEnrollment', { identityUri, validForMs: validForMs ?? 0 }),
  );
}

function toMadeToken(identity: PeerIdentity, wire: CreatedEnrollment__Output): MadeToken {
  const { token, enrollment, enrollmentAddress: server, wasEnrolled } = wire;
  const serverSite = parseSiteCode(wire.siteCode) ?? '';
  if (!enrollment || !/^[A-Za-z0-9_-]+$/.test(token) || !/^[\w.:[\]-]+$/.test(server)) {
    // It would be pasted into a shell.
    const reason = 'it gave a token that no shell may be given';
    throw new WaybillError({ code: 'PEER_FAILED', peer: 'the site server', reason });
  }
  const at = `--server ${server}${serverSite && ` --server-site ${serverSite}`}`;
  // Where the certificate is still there, nothing is done without it; on a new machine it changes nothing.
  const askingCommand = `${programOf(identity)}${wasEnrolled ? ' --force' : ''} ${at}`;
  const command = `echo ${token} | ${askingCommand}`;
  const row = toEnrollmentRecord(enrollment);
  return { ...row, token, askingCommand, command, server, serverSite, wasEnrolled };
}

function programOf(identity: PeerIdentity): string {
  switch (identity.kind) {
    case 'dp':
      return `sudo waybill-dp enroll ${identity.dpId}`;
    case 'site':
      return `sudo waybill-site enroll ${identity.siteCode}`;
    case 'admin':
      return `waybill enroll ${identity.name}`;
    case 'client':
      return `waybill enroll ${identity.name} --client`;
  }
}

/** What is to be copied as a whole is no longer than this, where it can be broken. */
const lineWidthMax = 80;

/**
 * The command and the token, each so that it can be copied as a whole; whoever sees the token can enroll. The
 * command asks for it: a shell keeps what it is given in its history, also a here-document.
 */
export function tellToken(
  { output, clock }: Pick<Session, 'output' | 'clock'>,
  made: MadeToken,
): void {
  const lasts = toDurationText(Math.max(0, made.expiresAtMs - clock.nowMs()));
  const where = made.identity.startsWith('waybill://admin/') ? 'there' : 'on the new machine';
  output.line(`Run this ${where}, once, within ${lasts}:`);
  output.line('');
  for (const line of toShellLines(made.askingCommand)) output.line(`  ${line}`);
  output.line('');
  output.line('It asks for this token; keep it to yourself until then:');
  output.line('');
  // It is longer than a line of many terminals: there is nothing else on its own.
  output.line(made.token);
}

/** Long host names have a line of their own. */
function toShellLines(command: string): string[] {
  if (command.length + 2 <= lineWidthMax) return [command];
  const [head = '', ...options] = command.split(/ (?=--server )/);
  return [`${head} \\`, ...options.map((option) => `  ${option}`)];
}

/** Another site may hear of what was added a moment later. */
const waitMsMax = 15_000;
const lookMs = 500;
const notYet = ['DISTRIBUTION_POINT_UNKNOWN', 'SITE_UNKNOWN', 'REQUEST_INVALID'] as const;

/**
 * Has a token made for somebody who was just added, if the site enrolls at all.
 *
 * @param at the site to ask; its rows may come a moment later than the ones of the connected site
 * @returns undefined when the site has no authority, or its version is older; or why there is none
 */
export async function makeTokenIfEnrolled(
  session: Session,
  identity: PeerIdentity,
  options: { readonly at: string | undefined; readonly validForMs: number | undefined },
): Promise<MadeToken | undefined | { readonly failure: string }> {
  const untilMs = session.clock.monotonicMs() + waitMsMax;
  for (;;) {
    try {
      const there = await session.atSite(options.at);
      return await makeToken(there, identity, options.validForMs);
    } catch (error) {
      if (isErrorWithCode(error, 'ENROLLMENT_OFF') || isUnknownMethod(error)) return undefined;
      const isEarly = options.at !== undefined && isErrorWithCode(error, ...notYet);
      if (isEarly && session.clock.monotonicMs() < untilMs) {
        await session.clock.sleep(lookMs, session.signal);
      } else if (isAbortError(error) || !isExpected(error)) throw error;
      else return { failure: error.message };
    }
  }
}

function isExpected(error: unknown): error is WaybillError | CommandFailure {
  return error instanceof WaybillError || error instanceof CommandFailure;
}
