import { FakeClock } from '../../../shared/testing/fake-clock.ts';
import type { ExitCode } from '../command-failure.ts';
import type { OwnEnrollment } from '../enroll-commands.ts';
import { runCommandLine, type Surroundings } from '../run-command-line.ts';
import { FakeAdmin } from './fake-admin.ts';
import { thenMs } from './fake-moment.ts';
import { FakePackages } from './fake-packages.ts';

/** A stream that keeps what is written to it. */
export class KeptText {
  text = '';
  isTTY: boolean;
  columns: number;
  rows: number;
  /** Called after each write. */
  onWrite: () => void = () => {};

  constructor(terminal?: { columns: number; rows: number }) {
    this.isTTY = terminal !== undefined;
    this.columns = terminal?.columns ?? 0;
    this.rows = terminal?.rows ?? 0;
  }

  write(text: string): void {
    this.text += text;
    this.onWrite();
  }
}

/** A run of `waybill` inside the test. */
export class Run {
  readonly admin: FakeAdmin;
  /** What answers at another site. */
  readonly otherSite: FakeAdmin;
  /** Who was enrolled on this machine. */
  readonly enrollments: OwnEnrollment[] = [];
  readonly openedSites: { siteCode: string; address: string }[] = [];
  readonly packages: FakePackages;
  readonly clock = new FakeClock(thenMs + 180_000);
  readonly stdout: KeptText;
  readonly stderr = new KeptText();
  readonly #interrupted = new AbortController();
  readonly #rootsFile: string | undefined;
  readonly #isOnOldRoot: boolean;
  readonly #changes: Partial<Surroundings>;

  constructor(
    options: {
      admin?: FakeAdmin;
      otherSite?: FakeAdmin;
      packages?: FakePackages;
      terminal?: { columns: number; rows: number };
      rootsFile?: string;
      isOnOldRoot?: boolean;
      surroundings?: Partial<Surroundings>;
    } = {},
  ) {
    this.admin = options.admin ?? new FakeAdmin();
    this.otherSite = options.otherSite ?? new FakeAdmin();
    this.packages = options.packages ?? new FakePackages();
    this.stdout = new KeptText(options.terminal);
    this.#rootsFile = options.rootsFile;
    this.#isOnOldRoot = options.isOnOldRoot ?? false;
    this.#changes = options.surroundings ?? {};
  }

  /** Presses Ctrl-C. */
  interrupt(): void {
    this.#interrupted.abort();
  }

  /** Runs a command line such as `package list --json`; quotes hold words together. */
  run(commandLine: string): Promise<ExitCode> {
    return runCommandLine(toWords(commandLine), {
      stdout: this.stdout,
      stderr: this.stderr,
      environment: {},
      homeDirectory: '/nowhere',
      clock: this.clock,
      signal: this.#interrupted.signal,
      timeZone: 'UTC',
      version: '0.1.0',
      question: undefined,
      enrollHere: async (enrollment) => {
        this.enrollments.push(enrollment);
        return {
          ...{ isNew: true, notAfterMs: thenMs + 90 * 86_400_000 },
          configPath: '/nowhere/.config/waybill/config.yaml',
          serverAddress: 'site.example.org:8530',
        };
      },
      connect: async () => ({
        channel: this.admin,
        address: 'site.example.org:8530',
        ...(this.#rootsFile !== undefined && { rootsFile: this.#rootsFile }),
        isOnOldRoot: this.#isOnOldRoot,
        openPackages: async () => this.packages,
        openSite: (site) => {
          this.openedSites.push(site);
          return this.otherSite;
        },
      }),
      ...this.#changes,
    });
  }

  /** Resolves when the text is on stdout, or in the other stream. */
  async whenWritten(text: string, stream: KeptText = this.stdout): Promise<void> {
    while (!stream.text.includes(text)) {
      await new Promise<void>((resolve) => {
        stream.onWrite = resolve;
      });
    }
  }
}

/** Runs a command line against a site server and gives all that came of it. */
export async function runWaybill(
  commandLine: string,
  options: ConstructorParameters<typeof Run>[0] = {},
): Promise<{ exitCode: ExitCode; stdout: string; stderr: string; admin: FakeAdmin }> {
  const run = new Run(options);
  const exitCode = await run.run(commandLine);
  return { exitCode, stdout: run.stdout.text, stderr: run.stderr.text, admin: run.admin };
}

/** Words of a command line as a shell splits them. */
export function toWords(commandLine: string): string[] {
  const words = commandLine.match(/'[^']*'|(?:[^\s"]|"[^"]*")+/g) ?? [];
  return words.map((word) => word.replaceAll(/["']/g, ''));
}
