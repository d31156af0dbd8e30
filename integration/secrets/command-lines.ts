import { readdirSync, readFileSync } from 'node:fs';

/** How often processes are looked at. */
const lookMs = 200;

/**
 * The command lines of all processes that descend from this one, as anybody on a machine sees them;
 * gathered from each start on. Each once.
 */
export class CommandLines {
  readonly #seen = new Set<string>();
  readonly #others = new Set<number>();
  #timer: NodeJS.Timeout | undefined;

  start(): void {
    this.#seen.clear();
    this.#timer ??= setInterval(() => this.look(), lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  get all(): readonly string[] {
    return [...this.#seen];
  }

  /** A process below which nobody is looked at: it looks for itself. */
  leaveOut(pid: number): void {
    this.#others.add(pid);
  }

  look(): void {
    const parents = new Map<number, number>();
    for (const name of readdirSync('/proc')) {
      const pid = Number(name);
      const parent = Number.isInteger(pid) ? parentOf(pid) : undefined;
      if (parent !== undefined) parents.set(pid, parent);
    }
    for (const pid of parents.keys()) {
      if (this.#isOurs(pid, parents)) this.#seen.add(commandLineOf(pid));
    }
  }

  #isOurs(pid: number, parents: ReadonlyMap<number, number>): boolean {
    let at: number | undefined = pid;
    for (let depth = 0; at !== undefined && depth < 50; depth++) {
      if (this.#others.has(at)) return false;
      if (at === process.pid) return pid !== process.pid;
      at = parents.get(at);
    }
    return false;
  }
}

function parentOf(pid: number): number | undefined {
  const stat = textOf(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[1] === undefined ? undefined : Number(fields[1]);
}

function commandLineOf(pid: number): string {
  return textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It has just ended.
    return '';
  }
}
