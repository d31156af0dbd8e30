import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { isErrorWithCode } from '../domain/errors.ts';
import {
  certificateRequestBytesMax,
  certificateRequestOf,
  newPrivateKey,
  publicKeyInfoOf,
  readCertificateRequest,
} from './certificate-requests.ts';

const hex = (text: string) => Buffer.from(text, 'hex');

/** Made by OpenSSL 3, with a subject and with extensions asked for. */
const fromOpenSsl = hex(
  '308201073081af0201003020310c300a06035504030c036470313110300e060355040a0c074578616d706c6530593013' +
    '06072a8648ce3d020106082a8648ce3d03010703420004c3c354308f3d220677eda3215b4952f0647327c834af1b0aaf' +
    '2be490ae437fb9b9dc1ca66af0795ff222a9d7e6495c34f0c94c77175a6b7006eb2dcffab821fda02d302b06092a8648' +
    '86f70d01090e311e301c301a0603551d1104133011820f6470312e6578616d706c652e6f7267300a06082a8648ce3d04' +
    '0302034700304402206cca05fb3b7d0e21c9b5f2fcbb43cc4081695f0467462ce68a090a95b589daa20220693c9171ed' +
    'c3d1d07e600d61939398e8233a2fb77dff6dd47585ffe6579280a4',
);
const keyOfOpenSsl = hex(
  '3059301306072a8648ce3d020106082a8648ce3d03010703420004c3c354308f3d220677eda3215b4952f0647327c834' +
    'af1b0aaf2be490ae437fb9b9dc1ca66af0795ff222a9d7e6495c34f0c94c77175a6b7006eb2dcffab821fd',
);
const withP384 = hex(
  '3081f8307f02010030003076301006072a8648ce3d020106052b8104002203620004b52066443018114f800c82b36ebb' +
    'fb133b43dbb2fd1705d6e1c70e679350525ab421e8a986854941648fb9d87a60042d613c79b8dcad4a50efc08eb72704' +
    '56eba33cd27993083f6d5a3d70b3178e5c1fd6dc3ef7df2edb0c57439a2659a45e2ba000300a06082a8648ce3d040302' +
    '03690030660231' +
    '00a437d5bc4e2f2e15597eacf7c69c3a15603d798cf1b1a6e0bbe13b7a77f694e229f85b0c22178e9eeded6254f15cae' +
    'fd0231008568e66e0aba163118d490df452e19456295b4e8f31cd3d5b4c4f2112e79633c0a05b80cbbf6c75a924fbd19' +
    '98e3a3d2',
);
const withSha384 = hex(
  '3081ba306202010030003059301306072a8648ce3d020106082a8648ce3d03010703420004c3c354308f3d220677eda3' +
    '215b4952f0647327c834af1b0aaf2be490ae437fb9b9dc1ca66af0795ff222a9d7e6495c34f0c94c77175a6b7006eb2d' +
    'cffab821fda000300a06082a8648ce3d0403030348003045022032d3722aa6145affd2c68003221f2ef86e4f8e174ac2' +
    'bcc0a23539cfc5f877a40221009ea6180be26c60acbf7107743478a6ee02a6e2f1b99a72953d21244e1a23d635',
);

const refused = (der: Uint8Array, reason: RegExp) =>
  assert.rejects(readCertificateRequest(der), {
    code: 'CERTIFICATE_REQUEST_INVALID',
    message: reason,
  });

describe('certificate requests (SEC-2)', () => {
  it('ask for a certificate for the key they were made with, and nothing else', async () => {
    const key = await newPrivateKey();
    assert.equal(createPrivateKey(key).asymmetricKeyDetails?.namedCurve, 'prime256v1');
    const request = await certificateRequestOf(key);
    const { publicKey } = await readCertificateRequest(request);
    assert.deepEqual(publicKey, publicKeyInfoOf(key));
    assert.ok(!request.includes('waybill'));
  });

  it('of another program are read, subject and extensions left aside', async () => {
    assert.deepEqual((await readCertificateRequest(fromOpenSsl)).publicKey, keyOfOpenSsl);
  });

  it('are made with P-256 keys only', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await assert.rejects(certificateRequestOf(pem), /P-256/);
  });

  it('are refused with another key, digest, signature or form', async () => {
    await refused(withP384, /not a P-256 key/);
    await refused(withSha384, /not signed with ECDSA and SHA-256/);
    await refused(Buffer.concat([fromOpenSsl, Buffer.alloc(1)]), /something follows its request/);
    await refused(fromOpenSsl.subarray(0, -1), /its request is cut off/);
    await refused(Buffer.alloc(0), /it has no request/);
    await refused(Buffer.from('30820000', 'hex'), /not DER/);
    await refused(Buffer.alloc(certificateRequestBytesMax + 1, 0x30), /at most 4096 are read/);
    const nested = Buffer.alloc(certificateRequestBytesMax, Buffer.from('3080', 'hex'));
    await refused(nested, /not DER/);
  });

  it('are refused with the signature of another key: the key may be somebody else’s', async () => {
    const stolen = await certificateRequestOf(await newPrivateKey());
    const info = stolen.subarray(3, 3 + 2 + (stolen[4] ?? 0));
    const other = sign('sha256', info, await newPrivateKey());
    const body = Buffer.concat([
      info,
      hex('300a06082a8648ce3d040302'),
      Buffer.from([0x03, other.length + 1, 0]),
      other,
    ]);
    const request = Buffer.concat([Buffer.from([0x30, 0x81, body.length]), body]);
    await refused(request, /its signature is not by the key/);
  });

  it('are refused with a point beside the curve', async () => {
    const at = fromOpenSsl.indexOf(keyOfOpenSsl) + keyOfOpenSsl.length - 1;
    const beside = Buffer.from(fromOpenSsl);
    beside[at] = (beside[at] ?? 0) ^ 1;
    await refused(beside, /not a point of the curve/);
  });

  it('never end otherwise than taken or refused, whatever was changed in them', async () => {
    const whole = await certificateRequestOf(await newPrivateKey());
    const change = fc.record({ at: fc.nat(400), value: fc.nat(255), cut: fc.nat(40) });
    const property = fc.asyncProperty(
      fc.constantFrom(whole, fromOpenSsl),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      async (request, changes) => {
        const bytes = Buffer.from(request);
        for (const { at, value } of changes) bytes[at % bytes.length] = value;
        const cut = bytes.subarray(0, bytes.length - (changes[0]?.cut ?? 0));
        if (cut.equals(request)) return;
        await assert.rejects(readCertificateRequest(cut), (error) =>
          isErrorWithCode(error, 'CERTIFICATE_REQUEST_INVALID'),
        );
      },
    );
    await fc.assert(property, { numRuns: 500 });
  });

  it('never end otherwise than refused when they are noise', async () => {
    const property = fc.asyncProperty(fc.uint8Array({ maxLength: 5_000 }), async (bytes) => {
      await assert.rejects(readCertificateRequest(bytes), (error) =>
        isErrorWithCode(error, 'CERTIFICATE_REQUEST_INVALID'),
      );
    });
    await fc.assert(property, { numRuns: 300 });
  });
});
