import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { type BenchGround, dpId } from './bench-ground.ts';
import { percentile, stolenCpuSeconds } from './measure.ts';
import { installed, publishPackage } from './waybill-run.ts';

const deadlineMs = 30_000;
const warmUpCount = 30;
const packageCount = 200;

/** Milliseconds from the accepted command, and from before the package was made, to the end. */
interface TinyTimes {
  readonly accepted: number;
  readonly whole: number;
}

/** Accept of the distribute command → 1 KiB verified on the DP, and the same from create on. */
export async function measureLatency(ground: BenchGround): Promise<void> {
  await ground.warmUp();
  for (let index = 0; index < warmUpCount; index++) await distributeTiny(ground, `w${index}`);
  const stolenBefore = stolenCpuSeconds();
  const startedMs = performance.now();
  const times: TinyTimes[] = [];
  for (let index = 0; index < packageCount; index++) {
    times.push(await distributeTiny(ground, `${index}`));
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const stolen = (stolenCpuSeconds() - stolenBefore) / seconds / cpus().length;
  const accepted = times.map((one) => one.accepted);
  const whole = times.map((one) => one.whole);
  console.log(`\nControl latency, ${packageCount} packages of 1 KiB, one after another`);
  console.log(`distribute accepted → verified on the DP: ${inWords(accepted)}`);
  console.log(`create → snapshot → distribute → verified: ${inWords(whole)}`);
  console.log(
    `CPU time other machines took from this one meanwhile: ${(stolen * 100).toFixed(1)} %`,
  );
}

function inWords(values: readonly number[]): string {
  const [p50, p99] = [percentile(values, 0.5), percentile(values, 0.99)];
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
}

async function distributeTiny(ground: BenchGround, name: string): Promise<TinyTimes> {
  const admin = await ground.admin();
  const source = join(ground.directory, 'tiny', name);
  await mkdir(source, { recursive: true });
  await writeFile(join(source, 'payload.bin'), name.padEnd(1024));
  const createdMs = performance.now();
  const packageId = await publishPackage(admin, source);
  await admin.unary('distributePackage', { packageId, dpIds: [dpId] }, { deadlineMs });
  const acceptedMs = performance.now();
  await installed(admin, { packageId, dpId, sourceVersion: 1 });
  const endedMs = performance.now();
  return { accepted: endedMs - acceptedMs, whole: endedMs - createdMs };
}
