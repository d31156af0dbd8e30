import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { newPrivateKey } from '../shared/certificates/certificate-requests.ts';
import type { PeerIdentity } from '../shared/domain/peer-identity.ts';
import { makeBigFile } from './data-sets.ts';
import { dpId, type HostileGround } from './hostile-ground.ts';
import { distribute, publishPackage } from './waybill-run.ts';

/** What honest peers do all day, each told as so much a second of the time it takes. */
export const honestWork = {
  pushes: { unit: 'MB/s', amount: 32 * 1.048576 },
  calls: { unit: '/s', amount: 100 },
  enrollments: { unit: '/s', amount: 1 },
} as const;

export type HonestKind = keyof typeof honestWork;
/** How fast each went, by its kind. */
export type HonestRates = Readonly<Record<HonestKind, number>>;

const kinds = Object.keys(honestWork) as HonestKind[];
const packageBytes = 32 * 1024 * 1024;
const deadlineMs = 30_000;
/** One machine enrolls no more often: one address may begin ten connections a second, and takes two. */
const roundMsMin = 500;
const client: PeerIdentity = { kind: 'client', name: 'bench' };

/** The honest peers of a ground: the same work, again and again, whoever attacks beside it. */
export class HonestPeers {
  readonly #ground: HostileGround;
  #packageCount = 0;

  constructor(ground: HostileGround) {
    this.#ground = ground;
  }

  /** Works for so long, in rounds of one push, some calls and one enrollment; whole rounds only. */
  async rates(ms: number): Promise<HonestRates> {
    const tookMs = { pushes: 0, calls: 0, enrollments: 0 };
    const untilMs = performance.now() + ms;
    let count = 0;
    for (; count === 0 || performance.now() < untilMs; count++) {
      const roundOver = sleep(roundMsMin);
      for (const [kind, itsMs] of Object.entries(await this.#round())) {
        tookMs[kind as HonestKind] += itsMs;
      }
      await roundOver;
    }
    const rate = (kind: HonestKind) => (count * honestWork[kind].amount * 1_000) / tookMs[kind];
    return Object.fromEntries(kinds.map((kind) => [kind, rate(kind)])) as unknown as HonestRates;
  }

  /** What is made ready before, and cleared away after, is no part of it. */
  async #round(): Promise<HonestRates> {
    const { admin } = this.#ground;
    const packageId = await this.#published();
    const machine = await this.#ground.machine(client, await newPrivateKey());
    const took = {
      pushes: await timed(() => distribute(admin, packageId, dpId)),
      calls: await timed(() => this.#call()),
      enrollments: await timed(() => this.#ground.enroll(machine)),
    };
    await admin.unary('deletePackage', { packageId }, { deadlineMs });
    return took;
  }

  async #call(): Promise<void> {
    for (let count = 0; count < honestWork.calls.amount; count++) {
      await this.#ground.admin.unary('getSite', {}, { deadlineMs });
    }
  }

  async #published(): Promise<string> {
    this.#packageCount += 1;
    const source = this.#ground.hierarchy.at(`source ${this.#packageCount}`);
    await makeBigFile(source, packageBytes, this.#packageCount);
    const packageId = await publishPackage(this.#ground.admin, source);
    await rm(source, { recursive: true, force: true });
    return packageId;
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}
