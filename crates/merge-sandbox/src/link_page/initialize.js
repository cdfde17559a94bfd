// The sandbox's stand-in for the Link script: MergeLink.initialize, openLink, update.
// The dialog is this server's page /link in a frame; the page reports its end with postMessage.
(() => {
  const home = new URL(document.currentScript.src).origin;
  let settings = {};
  let frame = null;

  const origin = () => {
    const given = settings.tenantConfig && settings.tenantConfig.apiBaseURL;
    return given ? new URL(given).origin : home;
  };

  const close = () => {
    if (frame) frame.remove();
    frame = null;
  };

  const initialize = (options) => {
    settings = { ...options };
    if (settings.onReady) setTimeout(settings.onReady, 0);
  };

  const update = (options) => {
    settings = { ...settings, ...options };
  };

  const openLink = (options) => {
    update(options || {});
    close();
    frame = document.createElement("iframe");
    frame.title = "Connect your account";
    frame.src = `${origin()}/link?link_token=${encodeURIComponent(settings.linkToken)}`;
    frame.style.cssText = "position:fixed;inset:0;width:100%;height:100%;border:0;background:Canvas;z-index:2147483647";
    const container = settings.parentContainerID && document.getElementById(settings.parentContainerID);
    (container || document.body).append(frame);
  };

  window.addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || event.origin !== origin()) return;
    const { type, publicToken, errors } = event.data || {};
    if (type === "link-success") {
      close();
      if (settings.onSuccess) settings.onSuccess(publicToken, { isTokenForOtherPreexistingLinkedAccount: false });
      if (settings.onExit) settings.onExit();
    } else if (type === "link-exit") {
      close();
      if (settings.onExit) settings.onExit();
    } else if (type === "link-error") {
      if (settings.onValidationError) settings.onValidationError(errors);
    }
  });

  window.MergeLink = { initialize, openLink, update };
})();
