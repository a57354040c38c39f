// Which pnpm this repository uses. The version is the one of "packageManager" in package.json;
// after changing it there, take the new hashes from `npm view <name>@<version> dist.integrity`.

/**
 * Hashes of the pinned release. `pnpm` is the launcher and names its binaries by exact version;
 * a platform whose binary isn't listed relies on npm's own check against the registry.
 */
export const integrity = {
  pnpm: 'sha512-Zv2CeO4ok1zpUXktNDZ/869cQyonVkRYIwKVM4NbjaUpu+C+UTCv1W7QcT+4eJ5Hutgtk71a4v5UsVVi1idu8A==',
  '@pnpm/exe.linux-x64':
    'sha512-8eufCjHXspKbNS/kh8q4Q0gqJoOuvC4Q5pgos6XS8By/nAMtP+jf8F1Cw9er840kfAX+PJ/ts+A9qnLE91rvXQ==',
  '@pnpm/exe.linux-arm64':
    'sha512-4Oj/iF2TDCe2lcH0n4TupPR5sSdrNLclJB6xBElLMPCUOAvBhdf2rRlSaO5M4erJ6g4Fyy7YTXTpcmfFsKyxEA==',
};
