import { hashOf } from '../../shared/content-library/content-hash.ts';
import type { MiniJob, PackageFileFacts, SendRequest } from '../../shared/domain/send-request.ts';
import type { SignedInstruction } from '../../shared/rpc/generated/waybill/v1/SignedInstruction.ts';
import type { Clock } from '../../shared/runtime/clock.ts';

/** What is sent, as its source site signs it (proto PackageInstruction). */
export interface SentPackageInstruction
  extends Pick<
    MiniJob,
    | 'jobId'
    | 'sourceSiteCode'
    | 'finalSiteCode'
    | 'packageId'
    | 'sourceVersion'
    | 'baseVersion'
    | 'packageHash'
    | 'priority'
    | 'createdAtMs'
  > {
  readonly file: PackageFileFacts;
  /** Refused from then on. */
  readonly expiresAtMs: number;
}

/** One hop of it, as whoever sends signs it (proto TransferInstruction). */
export interface SentTransferInstruction {
  readonly requestId: string;
  readonly sendingSiteCode: string;
  readonly destinationSiteCode: string;
  readonly signedAtMs: number;
  /** Lower-case hexadecimal. */
  readonly nonce: string;
  /** BLAKE3-256 of the package instruction's bytes, lower-case hexadecimal. */
  readonly packageInstructionHash: string;
}

/** The part of a serialised SignedInstruction that is passed on as it came. */
export type ForwardedInstruction = Required<
  Pick<SignedInstruction, 'package' | 'packageSignature' | 'packageKeyId'>
>;

/** Made by the site's identity and its instruction codec. */
export interface InstructionSigning {
  readonly encodePackage: (instruction: SentPackageInstruction) => Uint8Array;
  readonly encodeTransfer: (instruction: SentTransferInstruction) => Uint8Array;
  /** @throws when the bytes are no SignedInstruction */
  readonly decodeSigned: (bytes: Uint8Array) => ForwardedInstruction;
  /** Ed25519 with this site's newest key. */
  readonly sign: (
    bytes: Uint8Array,
  ) =>
    | { readonly keyId: string; readonly signature: Uint8Array }
    | Promise<{ readonly keyId: string; readonly signature: Uint8Array }>;
}

export interface SignedInstructionsNeeds {
  readonly signing: InstructionSigning;
  readonly siteCode: string;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** So many random bytes, good for secrets. */
  readonly randomBytes: (count: number) => Uint8Array;
}

/** Bytes of a nonce. */
const nonceBytes = 32;

/** Makes the instructions that go after a package file (REP-5): each try signs a new one. */
export class SignedInstructions {
  readonly #needs: SignedInstructionsNeeds;
  readonly #validMs: number;

  /** @param validMs how long a package instruction is valid, at most; at least half of it remains */
  constructor(needs: SignedInstructionsNeeds, validMs: number) {
    this.#needs = needs;
    this.#validMs = validMs;
  }

  /** The instruction of one try of a request, around what the source site says of the job. */
  async make(job: MiniJob, request: SendRequest): Promise<SignedInstruction> {
    const { signing, siteCode, clock, randomBytes } = this.#needs;
    const ofPackage =
      job.forwarded === undefined
        ? await this.#ofPackage(job, request.file)
        : signing.decodeSigned(Buffer.from(job.forwarded, 'base64'));
    const transfer = signing.encodeTransfer({
      requestId: request.requestId,
      sendingSiteCode: siteCode,
      destinationSiteCode: request.destinationSiteCode,
      signedAtMs: clock.nowMs(),
      nonce: Buffer.from(randomBytes(nonceBytes)).toString('hex'),
      packageInstructionHash: hashOf(toBytes(ofPackage.package)),
    });
    const { signature, keyId } = await signing.sign(transfer);
    return {
      ...ofPackage,
      transfer: toBytes(transfer),
      transferSignature: toBytes(signature),
      transferKeyId: keyId,
    };
  }

  /** The same bytes at every try, so that the receiver knows that it is the same. */
  async #ofPackage(job: MiniJob, file: PackageFileFacts): Promise<ForwardedInstruction> {
    const { jobId, sourceSiteCode, finalSiteCode, packageId, sourceVersion, baseVersion } = job;
    const { packageHash, priority, createdAtMs } = job;
    const bytes = this.#needs.signing.encodePackage({
      ...{ jobId, sourceSiteCode, finalSiteCode, packageId, sourceVersion, baseVersion },
      ...{ packageHash, priority, createdAtMs, file, expiresAtMs: this.#expiryOf(createdAtMs) },
    });
    const { signature, keyId } = await this.#needs.signing.sign(bytes);
    return { package: toBytes(bytes), packageSignature: toBytes(signature), packageKeyId: keyId };
  }

  /** A job that waits for weeks gets more time in steps, not a little more at each try. */
  #expiryOf(createdAtMs: number): number {
    const halfMs = this.#validMs / 2;
    const ageMs = Math.max(0, this.#needs.clock.nowMs() - createdAtMs);
    return createdAtMs + this.#validMs + Math.floor(ageMs / halfMs) * halfMs;
  }
}

function toBytes(bytes: Uint8Array | string): Buffer {
  if (typeof bytes === 'string') return Buffer.from(bytes, 'base64');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
