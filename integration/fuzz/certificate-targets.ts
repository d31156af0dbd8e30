/** Parsers of what certificates, requests for them, and roots come as. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { issueRoot } from '../../shared/certificates/certificate-issuing.ts';
import {
  certificateRequestOf,
  newPrivateKey,
  readCertificateRequest,
} from '../../shared/certificates/certificate-requests.ts';
import {
  decodeTrustBundle,
  encodeTrustBundle,
  signTrustBundle,
  verdictOnBundle,
} from '../../shared/certificates/trust-bundle.ts';
import { fromRootsFileText, rootsFileText } from '../../shared/certificates/trusted-roots.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { FuzzTarget } from './fuzz-target.ts';

const nowMs = Date.UTC(2026, 5, 1);
const yearMs = 365 * 24 * 3_600_000;
const validity = { notBefore: new Date(nowMs - yearMs), notAfter: new Date(nowMs + yearMs) };

const rootsOnce = (async () => ({
  trusted: await issueRoot({ name: 'Waybill root Test', ...validity }),
  foreign: await issueRoot({ name: 'Waybill root Other', ...validity }),
}))();

const heldOnce = rootsOnce.then(({ trusted }) => ({
  generation: 1,
  roots: [new X509Certificate(trusted.certificate).toString()],
}));

export const certificateTargets: readonly FuzzTarget[] = [
  {
    name: 'certificate-request',
    form: 'bytes',
    seeds: async () => [
      await certificateRequestOf(await newPrivateKey()),
      await certificateRequestOf(await newPrivateKey()),
    ],
    parse: async (input) => {
      try {
        const { publicKey } = await readCertificateRequest(input);
        assert.equal(publicKey.length, 91);
      } catch (error) {
        if (!isErrorWithCode(error, 'CERTIFICATE_REQUEST_INVALID')) throw error;
      }
    },
  },
  {
    name: 'trust-bundle',
    form: 'json',
    seeds: async () => {
      const { foreign } = await rootsOnce;
      const roots = [foreign.certificate];
      const bundle = signTrustBundle({ generation: 2, signedAtMs: nowMs, roots }, [foreign]);
      return [encodeTrustBundle(bundle)];
    },
    parse: async (input) => {
      const held = await heldOnce;
      // None of these is signed by a root that is trusted: whatever is changed, none is taken.
      assert.notEqual(verdictOnBundle(decodeTrustBundle(input), held, nowMs).kind, 'newer');
    },
  },
  {
    name: 'roots-file',
    form: 'text',
    words: [
      '# Waybill roots, generation ',
      '-----BEGIN CERTIFICATE-----',
      '-----END CERTIFICATE-----',
    ],
    seeds: async () => {
      const { trusted, foreign } = await rootsOnce;
      const roots = [trusted.certificate, foreign.certificate];
      return [Buffer.from(rootsFileText({ generation: 3, roots }))];
    },
    parse: (input) => {
      const { generation, roots } = fromRootsFileText(input.toString('latin1'));
      assert.ok(generation >= 0 && Array.isArray(roots));
    },
  },
];
