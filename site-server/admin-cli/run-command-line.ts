import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { paintFor } from '../../shared/runtime/text-style.ts';
import { Admin } from './admin.ts';
import type { AloneSession, Chosen } from './command.ts';
import {
  CommandFailure,
  type ExitCode,
  exitCodes,
  toFailureReport,
  UsageError,
} from './command-failure.ts';
import type {
  ConnectingSurroundings,
  Connection,
  ConnectionFlags,
  ConnectionSurroundings,
} from './connection.ts';
import { OtherSites } from './other-sites.ts';
import { Output } from './output.ts';
import { lookAfterRoots } from './own-roots.ts';
import { parseCommandLine } from './parse-command-line.ts';
import { toldOfRootChange } from './refusal-text.ts';
import type { Session } from './session.ts';
import { sizeOf, type TextStream } from './text-stream.ts';
import { toUsageMessage } from './usage-message.ts';

/** Everything a run touches besides its arguments: tests pass fakes of it. */
export interface Surroundings extends ConnectionSurroundings {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  readonly clock: Clock;
  /** Fires at Ctrl-C. */
  readonly signal: AbortSignal;
  /** IANA name; undefined: the zone of this machine. */
  readonly timeZone: string | undefined;
  readonly version: string;
  /** Asks the administrator, who gives no answer when the input has ended; undefined when there is nobody to ask. */
  readonly question: ((text: string) => Promise<string | undefined>) | undefined;
  readonly connect: (
    flags: ConnectionFlags,
    surroundings: ConnectingSurroundings,
  ) => Promise<Connection>;
  /** Enrolls whoever uses this program. */
  readonly enrollHere: (
    enrollment: Parameters<AloneSession['enrollHere']>[0],
    surroundings: Pick<Surroundings, 'homeDirectory' | 'clock' | 'signal'>,
  ) => ReturnType<AloneSession['enrollHere']>;
}

/** Does what a command line asks for, and says so. Never throws. */
export async function runCommandLine(
  args: readonly string[],
  surroundings: Surroundings,
): Promise<ExitCode> {
  let output = newOutput(surroundings, args.includes('--json'));
  try {
    const { version, stdout } = surroundings;
    const width = sizeOf(stdout).columns;
    const parsed = await parseCommandLine(args, { version, width });
    if ('text' in parsed) {
      stdout.write(`${parsed.text}\n`);
    } else {
      output = newOutput(surroundings, parsed.chosen.connection.json);
      await run(parsed.chosen, surroundings, output);
    }
    return exitCodes.done;
  } catch (error) {
    return tellFailure(toNamedFailure(error, { args, surroundings }), output, args);
  }
}

async function run(chosen: Chosen, surroundings: Surroundings, output: Output): Promise<void> {
  const { clock, signal, timeZone, question } = surroundings;
  if ('runAlone' in chosen) {
    const enrollHere = (enrollment: Parameters<AloneSession['enrollHere']>[0]) =>
      surroundings.enrollHere(enrollment, surroundings);
    return chosen.runAlone({ output, timeZone, enrollHere });
  }
  const connection = await surroundings.connect(chosen.connection, surroundings);
  const { channel, address: serverAddress } = connection;
  const openPackages = () => connection.openPackages(clock);
  const facts = { output, clock, signal, timeZone, question, serverAddress, openPackages };
  const admin = new Admin({ channel, clock, signal });
  const sites = new OtherSites(connection);
  const session: Session = { ...facts, admin, atSite: (code) => sites.at(session, code) };
  try {
    await chosen.run(session);
    await lookAfterRoots(connection, clock);
  } catch (error) {
    if (!signal.aborted && isAnswer(error)) await lookAfterRoots(connection, clock);
    throw connection.isOnOldRoot ? toldOfRootChange(error) : error;
  } finally {
    sites.close();
    channel.close();
  }
}

/** A failure that the site server was reached for. */
function isAnswer(error: unknown): boolean {
  const unheard = ['PEER_UNREACHABLE', 'PEER_IDENTITY_MISMATCH', 'DEADLINE_EXCEEDED'] as const;
  const isHere = error instanceof UsageError;
  return !isHere && !unheard.some((code) => isErrorWithCode(error, code));
}

function newOutput({ stdout, stderr, environment }: Surroundings, json: boolean): Output {
  const columns = columnsIn(environment);
  return new Output({ stdout, stderr, json, paint: paintFor(stdout, environment), columns });
}

/** What the variable COLUMNS says, as to other programs; undefined when it says no number. */
function columnsIn({ COLUMNS: text = '' }: Surroundings['environment']): number | undefined {
  return /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : undefined;
}

function toNamedFailure(
  error: unknown,
  run: { args: readonly string[]; surroundings: Surroundings },
): unknown {
  if (error instanceof UsageError) return new UsageError(toUsageMessage(error.message, run.args));
  if (!run.surroundings.signal.aborted || !isOfInterruption(error)) return error;
  const message = 'Interrupted. What the site server has accepted goes on: see "waybill status"';
  return new CommandFailure('INTERRUPTED', message, {});
}

/** Whatever breaks in the middle of a call that is given up, breaks because of that. */
function isOfInterruption(error: unknown): boolean {
  const isTold = error instanceof CommandFailure || error instanceof WaybillError;
  return isAbortError(error) || !isTold || !isAnswer(error);
}

/** A bug is told with its stack, so that it can be reported. */
function tellFailure(error: unknown, output: Output, args: readonly string[]): ExitCode {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const bug = { exitCode: exitCodes.failed, code: 'BUG', message: stack, facts: {} };
  const report = toFailureReport(error) ?? bug;
  output.failure(report, args);
  return report.exitCode;
}
