-- One source that is not a phone. Its events carry no type, so all of them are of type "order"; they
-- have no key either, so none waits for another. The shop posts an order again when it is not sure
-- that it arrived: the same number and revision is the same event, whatever else differs.
return {
  sources = {
    orders = {
      path   = "/hooks/orders",
      type   = { value = "order" },
      dedupe = { fields = { "order_id", "revision" } },
      auth   = "none",
    },
  },
}
