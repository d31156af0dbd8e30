import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';

/**
 * Hands each line to `systemd-notify`, one after another. What ends the agent does not end it before
 * the agent: its last word is that it stops.
 */
const script = `trap '' INT TERM HUP
while IFS= read -r state; do systemd-notify "$state"; done`;

/** Variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a word goes. */
export interface ServiceManagerLine {
  /** One assignment of sd_notify(3), such as READY=1; no line break. Never fails, never waits. */
  say(state: string): void;
}

/**
 * Speaks to the service manager that started this process (systemd, `Type=notify`).
 *
 * Node has no datagram sockets of the kind that systemd listens on, so `systemd-notify` says it, started
 * by a small shell that stays: to start a program costs an agent of some hundred MiB tens of
 * milliseconds. The unit needs `NotifyAccess=all`, since the words come from a child. The shell ends with
 * its standard input: no crash leaves it. What cannot be said is lost; systemd acts on the silence.
 */
export class NotifyShell implements ServiceManagerLine {
  readonly #environment: Environment;
  #child: ChildProcess | undefined;

  /** @param environment says where the service manager listens, and where its program is */
  constructor(environment: Environment) {
    this.#environment = environment;
  }

  say(state: string): void {
    this.#running().stdin?.write(`${state}\n`);
  }

  #running(): ChildProcess {
    if (this.#child) return this.#child;
    const child: ChildProcess = spawn('sh', ['-c', script], {
      env: this.#environment,
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    this.#child = child;
    child.on('error', () => this.#lost(child));
    child.on('exit', () => this.#lost(child));
    // A shell that died is told by its end.
    child.stdin?.on('error', () => {});
    // It keeps no program from its end.
    child.unref();
    (child.stdin as Socket | null)?.unref();
    return child;
  }

  /** The next word starts another one. */
  #lost(child: ChildProcess): void {
    if (this.#child === child) this.#child = undefined;
  }
}
