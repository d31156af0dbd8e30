import { refusalOfName } from '../../shared/domain/content.ts';
import { parseDistributionPointId } from '../../shared/domain/distribution-point.ts';
import { parseObjectName } from '../../shared/domain/object-name.ts';
import {
  type PackageProperties,
  type Program,
  parsePackageId,
} from '../../shared/domain/package.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits as limits } from '../../shared/domain/request-limits.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import type { Icon__Output } from '../../shared/rpc/generated/waybill/v1/Icon.ts';
import type { PackageProperties__Output } from '../../shared/rpc/generated/waybill/v1/PackageProperties.ts';
import type { PackagePropertiesPatch__Output } from '../../shared/rpc/generated/waybill/v1/PackagePropertiesPatch.ts';
import type { PackageStatusFilter__Output } from '../../shared/rpc/generated/waybill/v1/PackageStatusFilter.ts';
import type { PackageTargets__Output } from '../../shared/rpc/generated/waybill/v1/PackageTargets.ts';
import type { Program__Output } from '../../shared/rpc/generated/waybill/v1/Program.ts';
import { toPriority } from './enum-tables.ts';
import { checkedText, type TextRule } from './request-text.ts';

const name: TextRule = { charsMin: 1, charsMax: limits.packageNameCharsMax };
const shortText: TextRule = { charsMax: limits.shortTextCharsMax };
const description: TextRule = { charsMax: limits.descriptionCharsMax, isMultiline: true };
const programName: TextRule = { charsMin: 1, charsMax: limits.programNameCharsMax };
const commandLine: TextRule = { charsMin: 1, charsMax: limits.commandLineCharsMax };

/** Which rows of package status a request means; an absent field means all. */
export interface PackageStatusQuery {
  readonly packageId: string | undefined;
  readonly dpId: string | undefined;
  readonly failedOnly: boolean;
  /** Only rows of this site. */
  readonly siteCode?: string | undefined;
  /** Only DPs of this group. */
  readonly groupName?: string | undefined;
}

/** The DPs a request names, or all, or all of some sites. */
export interface RequestedTargets {
  readonly packageId: string;
  readonly dpIds: readonly string[] | 'all';
  /** All DPs of these sites, too. @default none */
  readonly siteCodes?: readonly string[];
  /** The DPs of these groups, too. @default none */
  readonly groupNames?: readonly string[];
}

/** @throws REQUEST_INVALID */
export function toPackageProperties(message: PackageProperties__Output | null): PackageProperties {
  if (!message) throw requestInvalid('properties', { expected: 'the properties', actual: 'none' });
  return {
    name: checkedText('properties.name', message.name, name),
    version: checkedText('properties.version', message.version, shortText),
    manufacturer: checkedText('properties.manufacturer', message.manufacturer, shortText),
    language: checkedText('properties.language', message.language, shortText),
    description: checkedText('properties.description', message.description, description),
    priority: toPriority('properties.priority', message.priority) ?? 2,
    programs: toPrograms(message.programs),
    ...toIcon({ name: message.iconName, bytes: message.icon }),
  };
}

/** The properties once the fields that are set have changed. @throws REQUEST_INVALID */
export function withPatch(
  properties: PackageProperties,
  patch: PackagePropertiesPatch__Output | null,
): PackageProperties {
  if (!patch)
    throw requestInvalid('properties', { expected: 'something to change', actual: 'none' });
  const text = (field: keyof typeof patch & keyof PackageProperties, rule: TextRule) => {
    const value = patch[field];
    return typeof value === 'string'
      ? { [field]: checkedText(`properties.${field}`, value, rule) }
      : {};
  };
  return {
    ...properties,
    ...text('name', name),
    ...text('version', shortText),
    ...text('manufacturer', shortText),
    ...text('language', shortText),
    ...text('description', description),
    priority: toPriority('properties.priority', patch.priority) ?? properties.priority,
    ...(patch.programs && { programs: toPrograms(patch.programs.programs) }),
    ...(patch.icon && toIcon(patch.icon)),
  };
}

/** The package ID of a request. @throws REQUEST_INVALID */
export function requirePackageId(text: string): string {
  const packageId = parsePackageId(text);
  if (packageId !== undefined) return packageId;
  const expected = 'a package ID such as PS100001';
  throw requestInvalid('package_id', { expected, actual: quoted(text) });
}

/** The name of a DP in a request. @throws REQUEST_INVALID */
export function requireDistributionPointId(field: string, text: string): string {
  const dpId = parseDistributionPointId(text);
  if (dpId !== undefined) return dpId;
  const expected = 'the name of a distribution point';
  throw requestInvalid(field, { expected, actual: quoted(text) });
}

/** The code of a site in a request. @throws REQUEST_INVALID */
export function requireSiteCode(field: string, text: string): string {
  const siteCode = parseSiteCode(text);
  if (siteCode !== undefined) return siteCode;
  throw requestInvalid(field, { expected: 'a site code such as PS1', actual: quoted(text) });
}

/** The name of a group in a request. @throws REQUEST_INVALID */
export function requireGroupName(field: string, text: string): string {
  const groupName = parseObjectName(text);
  if (groupName !== undefined) return groupName;
  const expected = 'the name of a group: 1 to 63 letters, digits, dots and hyphens';
  throw requestInvalid(field, { expected, actual: quoted(text) });
}

/** @throws REQUEST_INVALID */
export function toPackageStatusQuery(filter: PackageStatusFilter__Output): PackageStatusQuery {
  const { packageId, dpId, failedOnly, siteCode, groupName } = filter;
  return {
    groupName: groupName === '' ? undefined : requireGroupName('group_name', groupName),
    siteCode: siteCode === '' ? undefined : requireSiteCode('site_code', siteCode),
    packageId: packageId === '' ? undefined : requirePackageId(packageId),
    dpId: dpId === '' ? undefined : requireDistributionPointId('dp_id', dpId),
    failedOnly,
  };
}

/** @throws REQUEST_INVALID */
export function toTargets(message: PackageTargets__Output): RequestedTargets {
  const packageId = requirePackageId(message.packageId);
  const { dpIds, allDps } = message;
  const siteCodes = [...new Set(message.siteCodes)].map((code, index) =>
    requireSiteCode(`site_codes[${index}]`, code),
  );
  const groupNames = [...new Set(message.groupNames)].map((one, index) =>
    requireGroupName(`group_names[${index}]`, one),
  );
  if (allDps === dpIds.length + siteCodes.length + groupNames.length > 0) {
    const expected = 'distribution points by name, site or group, or all of them, not both';
    throw requestInvalid('dp_ids', { expected, actual: allDps ? 'both' : 'none' });
  }
  if (dpIds.length > limits.targetCountMax) {
    const expected = `at most ${limits.targetCountMax}`;
    throw requestInvalid('dp_ids', { expected, actual: `${dpIds.length}` });
  }
  if (groupNames.length > limits.groupCountMax) {
    const expected = `at most ${limits.groupCountMax}`;
    throw requestInvalid('group_names', { expected, actual: `${groupNames.length}` });
  }
  if (allDps) return { packageId, dpIds: 'all' };
  const named = dpIds.map((dpId, index) => requireDistributionPointId(`dp_ids[${index}]`, dpId));
  return { packageId, dpIds: [...new Set(named)], siteCodes, groupNames };
}

function toPrograms(messages: readonly Program__Output[]): Program[] {
  if (messages.length > limits.programCountMax) {
    const expected = `at most ${limits.programCountMax}`;
    throw requestInvalid('properties.programs', { expected, actual: `${messages.length}` });
  }
  const programs = messages.map((program, index) => ({
    name: checkedText(`properties.programs[${index}].name`, program.name, programName),
    commandLine: checkedText(
      `properties.programs[${index}].command_line`,
      program.commandLine,
      commandLine,
    ),
  }));
  const names = new Set<string>();
  for (const program of programs) {
    if (names.has(program.name)) {
      const expected = 'a name for each program that no other has';
      throw requestInvalid('properties.programs', { expected, actual: quoted(program.name) });
    }
    names.add(program.name);
  }
  return programs;
}

function toIcon(icon: Icon__Output): Pick<PackageProperties, 'iconName' | 'iconBase64'> {
  const { name: iconName, bytes } = icon;
  if (bytes.length === 0) return { iconName: '', iconBase64: '' };
  if (bytes.length > limits.iconBytesMax) {
    const expected = `at most ${limits.iconBytesMax} bytes`;
    throw requestInvalid('properties.icon', { expected, actual: `${bytes.length} bytes` });
  }
  const refusal = refusalOfName(checkedText('properties.icon_name', iconName, shortText));
  if (refusal !== undefined) {
    const actual = `${quoted(iconName)}, but ${refusal}`;
    throw requestInvalid('properties.icon_name', { expected: 'a file name for the icon', actual });
  }
  return { iconName, iconBase64: bytes.toString('base64') };
}
