from tests.integration.stack.fake_services.service import main

main("store")
