"""Keys as the tests describe them, for python-ndn."""

from Cryptodome.PublicKey import ECC
from ndn.encoding import SignaturePtrs, SignatureType
from ndn.security import DigestSha256Signer, Ed25519Signer, HmacSha256Signer, Sha256WithEcdsaSigner
from ndn.security.validator.digest_validator import sha256_digest_checker
from ndn.security.validator.known_key_validator import verify_ecdsa, verify_ed25519, verify_hmac


def signer(key, for_interest=False):
    """Signs with the key; the library's own class for its type."""
    match key["type"]:
        case "digest":
            return DigestSha256Signer(for_interest)
        case "ecdsa":
            return Sha256WithEcdsaSigner(key["name"], key["private"])
        case "ed25519":
            der = ECC.import_key(key["private"]).export_key(format="DER", use_pkcs8=True)
            return Ed25519Signer(key["name"], der)
        case "hmac":
            return HmacSha256Signer(key["name"], bytes.fromhex(key["secret"]))
    raise ValueError(key["type"])


async def verified(key, name, signature: SignaturePtrs):
    """Whether the signature is of the key's type, and right."""
    info = signature.signature_info
    types = {
        "digest": SignatureType.DIGEST_SHA256,
        "ecdsa": SignatureType.SHA256_WITH_ECDSA,
        "ed25519": SignatureType.ED25519,
        "hmac": SignatureType.HMAC_WITH_SHA256,
    }
    if info is None or info.signature_type != types[key["type"]]:
        return False
    match key["type"]:
        case "digest":
            return await sha256_digest_checker(name, signature)
        case "ecdsa":
            return verify_ecdsa(ECC.import_key(key["public"]), signature)
        case "ed25519":
            return verify_ed25519(ECC.import_key(key["public"]), signature)
        case "hmac":
            return verify_hmac(bytes.fromhex(key["secret"]), signature)
