import type { WaybillError } from '../../shared/domain/errors.ts';
import type { PullSource } from '../../shared/domain/pull-source.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Paint } from '../../shared/runtime/text-style.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import type { View } from './display.ts';
import type { GetObserver } from './package-get/package-access.ts';
import type { PackageLocation } from './package-get/package-location.ts';
import { type Progress, RateMeter, toProgressBar, toTenths } from './progress.ts';
import type { TerminalSize } from './text-stream.ts';

const barWidthMax = 30;
/** So many sources are named. */
const namedSourceCountMax = 3;
/** So many warnings stay in sight while it goes on. */
const warningsShownMax = 3;

/** A package on its way to this machine. */
export class GetView implements View, GetObserver {
  readonly #packageId: string;
  readonly #outDirectory: string;
  readonly #clock: Clock;
  readonly #paint: Paint;
  readonly #warn: (text: string) => void;
  readonly #warnings: string[] = [];
  #changed: () => void = () => {};
  #location: PackageLocation | undefined;
  #workPath: string | undefined;
  #isResumed = false;
  #stage: 'finding' | 'fetching' | 'writing' = 'finding';
  #waitsFor = '';
  #doneBytes = 0;
  #totalBytes = 0;
  #meter = new RateMeter();
  #lastLine = '';

  /** @param needs.warn hears what somebody should look into, at once */
  constructor(needs: {
    packageId: string;
    outDirectory: string;
    clock: Clock;
    paint: Paint;
    warn: (text: string) => void;
  }) {
    this.#packageId = needs.packageId;
    this.#outDirectory = needs.outDirectory;
    this.#clock = needs.clock;
    this.#paint = needs.paint;
    this.#warn = needs.warn;
  }

  /** Where what was fetched lies; undefined as long as nothing was made. */
  get workPath(): string | undefined {
    return this.#workPath;
  }

  /** Calls the listener after each change from now on. */
  onChanged(listener: () => void): void {
    this.#changed = listener;
  }

  begun(begun: { location: PackageLocation; workPath: string; isResumed: boolean }): void {
    if (this.#location) this.warned(this.#versionText(this.#location, begun.location));
    this.#location = begun.location;
    this.#workPath = begun.workPath;
    this.#isResumed = begun.isResumed;
    this.#enter('fetching', 0);
  }

  expected(bytes: number): void {
    this.#totalBytes += bytes;
    this.#changed();
  }

  done(bytes: number): void {
    this.#doneBytes += bytes;
    this.#measure();
  }

  lied(_source: PullSource, error: WaybillError): void {
    this.warned(error.message);
  }

  waiting(error: WaybillError): void {
    this.#waitsFor = error.message;
    this.#changed();
  }

  resumed(): void {
    this.#waitsFor = '';
    this.#changed();
  }

  writing(bytes: number): void {
    if (this.#stage !== 'writing') this.#enter('writing', this.#sizeBytes());
    this.#doneBytes = bytes;
    this.#measure();
  }

  warned(message: string): void {
    this.#warnings.push(message);
    this.#warn(message);
    this.#changed();
  }

  liveLines({ columns }: TerminalSize): readonly string[] {
    const lines = [toVisibleText(this.#stageText())];
    if (this.#totalBytes > 0) {
      const options = { room: columns, barWidthMax, paint: this.#paint };
      lines.push(toProgressBar(this.#progress(), options));
    }
    if (this.#waitsFor !== '') lines.push(toVisibleText(`Waiting: ${this.#waitsFor}`));
    const warnings = this.#warnings.slice(-warningsShownMax);
    return [...lines, ...warnings.map((text) => this.#paint('bad', toVisibleText(text)))];
  }

  /** As in a log: a line for each stage and each tenth of it. */
  newLines(): readonly string[] {
    const waiting = this.#waitsFor === '' ? '' : `; waiting: ${this.#waitsFor}`;
    const stage = `${this.#stageText()} ${toTenths(this.#progress())}`.trimEnd();
    const line = toVisibleText(`${stage}${waiting}`);
    if (line === this.#lastLine) return [];
    this.#lastLine = line;
    return [line];
  }

  #enter(stage: 'fetching' | 'writing', totalBytes: number): void {
    this.#stage = stage;
    this.#waitsFor = '';
    this.#doneBytes = 0;
    this.#totalBytes = totalBytes;
    this.#meter = new RateMeter();
    this.#measure();
  }

  #measure(): void {
    this.#meter.measure(this.#doneBytes, this.#clock.monotonicMs());
    this.#changed();
  }

  #progress(): Progress {
    const { bytesPerSecond } = this.#meter;
    const [doneBytes, totalBytes] = [this.#doneBytes, this.#totalBytes];
    const leftBytes = Math.max(0, totalBytes - doneBytes);
    const etaMs = bytesPerSecond > 0 ? (leftBytes * 1000) / bytesPerSecond : 0;
    return { doneBytes, totalBytes, bytesPerSecond, etaMs };
  }

  #stageText(): string {
    if (!this.#location) return `Package ${this.#packageId}: asking where it is`;
    const { packageId, sourceVersion } = this.#location.version;
    const name = `Package ${packageId} v${sourceVersion}`;
    if (this.#stage === 'writing')
      return `${name}: all of it is here; writing ${this.#outDirectory}`;
    const verb = this.#isResumed ? 'goes on, from' : 'fetching from';
    return `${name}: ${verb} ${toSourcesText(this.#location.sources)}`;
  }

  #versionText(before: PackageLocation, now: PackageLocation): string {
    const { packageId, sourceVersion } = now.version;
    return before.version.packageHash === now.version.packageHash
      ? `What was fetched of package ${packageId} was damaged; it begins again`
      : `Package ${packageId} has version ${sourceVersion} by now; it begins again with that`;
  }

  #sizeBytes(): number {
    const contents = this.#location?.version.contents ?? [];
    return contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }
}

/** A source by its name: `PS1DP1`, or `site PS1`. */
export function toSourceName({ identity }: PullSource): string {
  if (identity.kind === 'dp') return identity.dpId;
  return `site ${identity.siteCode}`;
}

function toSourcesText(sources: readonly PullSource[]): string {
  const names = sources.slice(0, namedSourceCountMax).map(toSourceName);
  const hiddenCount = sources.length - names.length;
  return [...names, ...(hiddenCount > 0 ? [`${hiddenCount} more`] : [])].join(', ');
}
