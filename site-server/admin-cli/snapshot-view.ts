import type { Clock } from '../../shared/runtime/clock.ts';
import type { Paint } from '../../shared/runtime/text-style.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import type { View } from './display.ts';
import type { PackageRecord } from './package-record.ts';
import { RateMeter, toProgressBar } from './progress.ts';
import type { TerminalSize } from './text-stream.ts';
import { toByteText, toCountOf, toRateText } from './units.ts';

const barWidthMax = 24;

/** A package on its way to being published or deleted. */
export class SnapshotView implements View {
  readonly #clock: Clock;
  readonly #paint: Paint;
  readonly #meter = new RateMeter();
  #seen: PackageRecord;
  #isPresent = true;
  #lastLine = '';

  constructor(needs: { accepted: PackageRecord; clock: Clock; paint: Paint }) {
    this.#seen = needs.accepted;
    this.#clock = needs.clock;
    this.#paint = needs.paint;
  }

  /** Takes what the site server says now. */
  apply(seen: PackageRecord): void {
    this.#seen = seen;
    if (seen.state === 'snapshot') {
      this.#meter.measure(seen.snapshotBytes, this.#clock.monotonicMs());
    }
  }

  /** Whether the site server is there. */
  setPresent(isPresent: boolean): void {
    this.#isPresent = isPresent;
  }

  liveLines({ columns }: TerminalSize): readonly string[] {
    const stage = this.#stageText();
    const isReading = this.#isPresent && this.#seen.state === 'snapshot';
    return isReading ? [stage, this.#readText(columns)] : [stage];
  }

  newLines(): readonly string[] {
    const line = this.#stageText();
    if (line === this.#lastLine) return [];
    this.#lastLine = line;
    return [line];
  }

  #stageText(): string {
    const { packageId, state, reason } = this.#seen;
    if (!this.#isPresent) return `Package ${packageId}: the site server is away; waiting for it`;
    switch (state) {
      case 'snapshot':
        return `Package ${packageId}: reading the source`;
      case 'deleting':
        return `Package ${packageId}: being deleted from every DP`;
      default:
        return toVisibleText(
          `Package ${packageId}: waiting ${reason === '' ? 'for its turn' : `(${reason})`}`,
        );
    }
  }

  /** How large the source is, nobody knows; but it is seldom far from what it was. */
  #readText(columns: number): string {
    const { snapshotBytes: doneBytes, snapshotFiles, sizeBytes: totalBytes } = this.#seen;
    const { bytesPerSecond } = this.#meter;
    if (doneBytes >= totalBytes) {
      const files = toCountOf(snapshotFiles, 'file');
      const rate = bytesPerSecond > 0 ? `  ${toRateText(bytesPerSecond)}` : '';
      return `${toByteText(doneBytes)}  ${files}${rate}`;
    }
    const etaMs = bytesPerSecond > 0 ? ((totalBytes - doneBytes) * 1000) / bytesPerSecond : 0;
    const progress = { doneBytes, totalBytes, bytesPerSecond, etaMs };
    const options = { room: columns, barWidthMax, label: 'about ', paint: this.#paint };
    return toProgressBar(progress, options);
  }
}
