from tests.integration.stack.fake_services.service import main

main("prefill")
