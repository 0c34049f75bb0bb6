// Which pictures are shown: those that were uploaded to Relay. Others would tell strangers who looks, and when.

const OWN = /^\/api\/integrations\/icons\/[0-9a-f-]{36}\/[0-9a-f-]{36}\.(png|jpg|jpeg|webp)$/i;

/** The path of an uploaded icon at this address; null for any other picture. */
export function ownIcon(url: unknown): string | null {
  if (typeof url !== "string" || !url) return null;
  try {
    const { pathname } = new URL(url, "http://relay.invalid");
    const at = pathname.indexOf("/api/integrations/icons/");
    const path = at < 0 ? "" : pathname.slice(at);
    return OWN.test(path) ? path : null;
  } catch {
    return null;
  }
}
