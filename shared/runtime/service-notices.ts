import type { Clock } from './clock.ts';
import { type Environment, NotifyShell, type ServiceManagerLine } from './notify-shell.ts';

export interface ServiceNoticesNeeds {
  readonly clock: Clock;
  readonly line: ServiceManagerLine;
}

export interface ServiceNoticesConfig {
  /** After so long without a sign of life the service manager ends the process; undefined: never. */
  readonly watchdogMs: number | undefined;
  /** How often a start that takes long says that it goes on. @default 20_000 */
  readonly startingIntervalMs: number;
}

/** How many signs of life fit into the time in which one must come. */
const signsPerWatchdog = 4;
/** A start may be silent for so many intervals. */
const startingIntervalsMax = 6;

/**
 * What an agent tells the service manager that started it: that it starts, is ready, lives, stops.
 *
 * Signs of life come from the event loop, in which all of the agent's work has its turns: they end when
 * it stands still, and mean no more than that it turns. Also before it is ready, since a start that
 * repairs what a crash left, or makes an index anew, may take long and must not be cut off.
 */
export class ServiceNotices {
  readonly #needs: ServiceNoticesNeeds;
  readonly #config: ServiceNoticesConfig;
  #stage = new AbortController();
  #isWaiting = false;

  constructor(needs: ServiceNoticesNeeds, config: ServiceNoticesConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /** To be called first, while the process is small. */
  starting(): void {
    const { startingIntervalMs } = this.#config;
    const extendUs = startingIntervalMs * startingIntervalsMax * 1_000;
    this.#repeat(`EXTEND_TIMEOUT_USEC=${extendUs}`, startingIntervalMs);
  }

  /** The start waits for something, and why: shown by the service manager until the agent is ready. */
  waiting(why: string): void {
    this.#isWaiting = true;
    this.#needs.line.say(`STATUS=${why.replaceAll(/\s+/g, ' ')}`);
  }

  /** The agent listens. */
  ready(): void {
    const { watchdogMs } = this.#config;
    if (this.#isWaiting) this.#needs.line.say('STATUS=');
    this.#needs.line.say('READY=1');
    this.#stage.abort();
    if (watchdogMs !== undefined) this.#repeat('WATCHDOG=1', watchdogMs / signsPerWatchdog);
  }

  /** From here on only the time that the unit gives for the stop counts. */
  stopping(): void {
    this.#needs.line.say('STOPPING=1');
    this.#stage.abort();
  }

  #repeat(state: string, intervalMs: number): void {
    const { clock, line } = this.#needs;
    this.#stage = new AbortController();
    const { signal } = this.#stage;
    const repeated = async () => {
      for (;;) {
        line.say(state);
        await clock.sleep(intervalMs, signal);
      }
    };
    // Ends when the stage does.
    repeated().catch(() => {});
  }
}

/**
 * The notices for whoever started this process; undefined when nobody wants any.
 *
 * @param environment of the process: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of sd_notify(3)
 */
export function serviceNoticesFor(
  environment: Environment,
  { clock, processId }: { readonly clock: Clock; readonly processId: number },
): ServiceNotices | undefined {
  if (!environment.NOTIFY_SOCKET) return undefined;
  const watchdogMs = watchdogMsOf(environment, processId);
  return new ServiceNotices(
    { clock, line: new NotifyShell(environment) },
    { watchdogMs, startingIntervalMs: 20_000 },
  );
}

/** What the unit's WatchdogSec is for this process. */
export function watchdogMsOf(environment: Environment, processId: number): number | undefined {
  const { WATCHDOG_PID: meant, WATCHDOG_USEC: microseconds } = environment;
  if (meant !== undefined && meant !== String(processId)) return undefined;
  const watchdogMs = Number(microseconds) / 1_000;
  return watchdogMs > 0 ? watchdogMs : undefined;
}
